"""Every operation of the published document, fuzzed against a running instance.

No answer is a 5xx, and none contradicts the document: status, content type, body and headers are checked against
/openapi.json as clients read it. Half of the path parameters name things that exist, so that the fuzz gets past 404.
"""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks as common
from schemathesis.specs.openapi import checks as openapi

from talon.instance import Instance, temporary_instance
from tests.support.published import document
from tests.support.report import LINES

EXAMPLES = 10

UUID_FORM = re.compile(r"[0-9a-fA-F-]{36}")
# how the validator's own sentences and locations begin; a person reads of the request's fields instead
VALIDATORS_WORDS = re.compile(
    r"Input should|String should|Value (error|should)|valid (string|integer|boolean)|constrained-|function-"
)


def speaks_of_the_request(_context: Any, response: Any, case: schemathesis.Case) -> None:
    """A refusal names fields and what is asked for, in no words of the validator."""
    if response.status_code == 400:
        assert not VALIDATORS_WORDS.search(response.text), f"{case.operation.label}: {response.text}"


CHECKS = [
    common.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
    openapi.negative_data_rejection,
    openapi.ignored_auth,
    speaks_of_the_request,
]


DOCUMENT = document()
schema = schemathesis.openapi.from_dict(DOCUMENT)
# every call carries a real credential, so the want of one cannot be what is refused; `ignored_auth` tries that
schema.config.generation.update(with_security_parameters=False)
known: dict[str, str] = {}
tried = {"operations": set(), "cases": 0}  # type: ignore[var-annotated]  # of two kinds


@schema.hook
def map_path_parameters(_context: Any, drawn: dict[str, Any] | None) -> dict[str, Any] | None:
    """Replace about half of the values by ids of things that exist; the same draw always becomes the same.

    What is drawn to be refused stays: with a good id in its place the request would be one to accept.
    """
    for name, value in (drawn or {}).items():
        if name.endswith("_id") and not UUID_FORM.fullmatch(str(value)):
            continue
        if name in known and hashlib.sha256(f"{name}={value!r}".encode()).digest()[0] % 2:
            drawn[name] = known[name]  # type: ignore[index]  # it is not None here
    return drawn


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An instance of our own: what the fuzz does to it disturbs nobody."""
    limits = {f"TALON_RATE_LIMIT_{name}": "off" for name in ("AUTH", "IP", "LOGIN")}
    with temporary_instance(tmp_path_factory.mktemp("fuzzed"), limits) as running:
        yield running
    if tried["cases"]:
        LINES.append(f"schemathesis: {len(tried['operations'])} operations, {tried['cases']} cases")


@pytest.fixture(scope="module")
def credentials(fuzzed: Instance) -> dict[str, str]:
    """A person who may everything and an agent that may sign; fills `known` with what they have."""
    with httpx.Client(base_url=fuzzed.base_url, timeout=30) as http:

        def do(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
            answer = http.request(method, path, json=body)
            assert answer.is_success, answer.text
            return answer.json()

        login = do("POST", "/v1/auth/token", {"email": fuzzed.admin_email, "password": fuzzed.admin_password})
        http.headers["Authorization"] = f"Bearer {login['access_token']}"
        key = do("POST", "/v1/auth/api-keys", {"name": "fuzz"})
        http.headers["Authorization"] = f"Bearer {key['api_key']}"
        made = do("POST", "/v1/agents", {"name": "fuzzed", "intents_api_enabled": True})
        vault = do("POST", "/v1/vaults", {"name": "fuzzed"})
        secrets = f"/v1/vaults/{vault['id']}/secrets"
        do("PUT", f"{secrets}/known/secret", {"value": "v", "type": "password"})
        do("POST", f"/v1/vaults/{vault['id']}/secret-generate/keys/anvil-signer")
        grant = {"secret_path_pattern": "**", "principal_type": "agent", "principal_id": made["agent"]["id"]}
        policy = do("POST", f"/v1/vaults/{vault['id']}/policies", {**grant, "permissions": ["read"]})
        known.update(
            vault_id=vault["id"],
            agent_id=made["agent"]["id"],
            policy_id=policy["id"],
            path="known/secret",
            identifier="anvil",
            version="1",
        )
    return {"person": key["api_key"], "agent": made["api_key"]}


def test_the_running_instance_publishes_this_document(fuzzed: Instance) -> None:
    published = httpx.get(f"{fuzzed.base_url}/openapi.json", timeout=30).json()
    assert published["paths"] == DOCUMENT["paths"]
    assert published["components"] == DOCUMENT["components"]
    operations = {
        f"{method} {path}": each for path, item in DOCUMENT["paths"].items() for method, each in item.items()
    }
    public = sorted(name for name, each in operations.items() if not each["security"])
    assert "get /v1/health" in public
    assert len(public) < len(operations) / 3, public
    assert not any("/vaults" in name or "/admin" in name or "/org" in name for name in public)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_operation(case: schemathesis.Case, fuzzed: Instance, credentials: dict[str, str]) -> None:
    tried["operations"].add(case.operation.label)  # type: ignore[attr-defined]
    tried["cases"] += 1  # type: ignore[operator]
    who = "agent" if tried["cases"] % 3 == 0 else "person"  # type: ignore[operator]
    headers = {"Authorization": f"Bearer {credentials[who]}"}
    case.call_and_validate(base_url=fuzzed.base_url, headers=headers, checks=CHECKS, timeout=30)
