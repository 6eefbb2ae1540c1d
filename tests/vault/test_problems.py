"""Errors as HTTP answers, through a whole application."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy import text
from structlog.testing import capture_logs

from chains.errors import BadAmount, BadNonce, RpcUnavailable
from chains.rpc import ChainClients
from signer.client import SignerClient
from signer.errors import ApprovalRefused, InvalidKey, KeyNotFound, SealBroken, SignerUnavailable
from tests.support.factories import make_user
from tests.support.postgres import Postgres, open_database
from tests.support.vault_app import client, make_app
from tests.support.world import until
from tests.vault.conftest import OPTIONS, Connect
from vault.auth.routers import ROUTERS as AUTH
from vault.body_limit import MAX_BODY_BYTES
from vault.context import Context
from vault.db import Database, metadata
from vault.schemas import StrictModel

router = APIRouter()

RAISED = {
    "bug": RuntimeError("password=hunter2"),
    "signer-down": SignerUnavailable("socket"),
    "no-key": KeyNotFound("key"),
    "bad-key": InvalidKey("bad"),
    "refused": ApprovalRefused("redeemed"),
    "broken": SealBroken("hunter2"),
    "chain-down": RpcUnavailable("chain 1: endpoint 1 says it is at http://user:hunter2@node"),
    "bad-amount": BadAmount("more than 18 places"),
    "bad-nonce": BadNonce("nonce 7 is used"),
}


class Body(StrictModel):
    name: str
    count: int = 0


@router.post("/echo")
async def echo(body: Body) -> dict[str, str]:
    return {"name": body.name}


@router.get("/raise/{what}")
async def raises(what: str) -> None:
    raise RAISED[what]


@pytest.fixture
async def http(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    async with client(make_app(context, (router,))) as connected:
        yield connected


def assert_problem(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["title"]
    assert isinstance(body["detail"], str)
    assert body["detail"]
    return str(body["detail"])


@pytest.mark.parametrize(
    ("what", "status", "word"),
    [
        ("signer-down", 503, "signer"),
        ("no-key", 404, "key"),
        ("bad-key", 400, "private key"),
        ("refused", 409, "nothing was signed"),
        ("broken", 409, "altered"),
        ("chain-down", 503, "endpoint 1"),
        ("bad-amount", 400, "18 places"),
        ("bad-nonce", 422, "nonce 7"),
        ("bug", 500, "unexpected"),
    ],
)
async def test_each_error_has_its_answer_and_none_shows_its_insides(
    http: httpx.AsyncClient, what: str, status: int, word: str
) -> None:
    with capture_logs() as logs:
        answer = await http.get(f"/raise/{what}")
    assert word in assert_problem(answer, status)
    assert "hunter2" not in answer.text
    assert "hunter2" not in str(logs)
    assert ("retry-after" in answer.headers) == (status == 503)
    assert bool(logs) == (status == 500)


async def test_unknown_paths_and_methods(http: httpx.AsyncClient) -> None:
    assert_problem(await http.get("/nowhere"), 404)
    answer = await http.put("/echo")
    assert_problem(answer, 405)
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe{}",
        b'{"name": "a\xff"}',
        b'{"name": "a\\u0000"}',
        b'{"name": "\\ud800"}',
        b'{"name": 1}',
        b'{"name": null}',
        b"{}",
        b'{"name": "a", "count": "1"}',
        b'{"name": "a", "count": 1.0}',
        b'{"name": "a", "count": NaN}',
        b'{"name": "a", "count": ' + b"9" * 5000 + b"}",
        b'{"name": "a", "other": NaN}',
        b'{"name": "a", "other": ' + b"[" * 200 + b"]" * 200 + b"}",
        b"[" * 100_000,
    ],
    ids=lambda content: repr(content[:30]),
)
async def test_a_body_that_is_not_right_is_400_in_one_string(http: httpx.AsyncClient, content: bytes) -> None:
    answer = await http.post("/echo", content=content, headers={"Content-Type": "application/json"})
    assert_problem(answer, 400)


async def test_faults_are_named_without_repeating_the_values(http: httpx.AsyncClient) -> None:
    answer = await http.post("/echo", json={"count": "hunter2"})
    detail = assert_problem(answer, 400)
    assert "name" in detail
    assert "count" in detail
    assert answer.json()["fields"].keys() == {"name", "count"}
    assert "hunter2" not in answer.text


async def test_a_body_over_5_mib_is_413_and_one_at_it_is_read(http: httpx.AsyncClient) -> None:
    frame = len(b'{"name":""}')
    at_limit = {"name": "x" * (MAX_BODY_BYTES - frame)}
    assert (await http.post("/echo", json=at_limit)).status_code == 200
    over = b'{"name":"' + b"x" * (MAX_BODY_BYTES - frame + 1) + b'"}'
    assert_problem(await http.post("/echo", content=over), 413)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(6):
            yield b"x" * 1024 * 1024

    assert_problem(await http.post("/echo", content=chunks()), 413)
    assert_problem(await http.get("/raise/%00"), 400)


async def test_a_json_content_type_without_a_body_is_fine(connect: Connect, database: Database) -> None:
    person = await make_user(database)
    headers = {"Content-Type": "application/json"}
    assert (await connect(person.key).get("/v1/auth/me", headers=headers)).status_code == 200
    assert (await connect(person.key).delete("/v1/auth/token", headers=headers)).status_code == 204


async def test_a_lost_database_is_503_and_comes_back(postgres: Postgres, signer: SignerClient) -> None:
    url = postgres.create("lost")
    async with open_database(url, metadata) as database:
        person = await make_user(database)
        context = Context(database=database, signer=signer, chains=ChainClients({}), options=OPTIONS)
        async with client(make_app(context, AUTH), person.key) as http:
            assert (await http.get("/v1/auth/me")).status_code == 200
            # a restart from the connections' point of view: they are gone, and so is the database for a while
            async with open_database(postgres.url("postgres")) as admin, admin.engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                await connection.execute(text('ALTER DATABASE "lost" WITH ALLOW_CONNECTIONS false'))
                await connection.execute(
                    text("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'lost'")
                )
                answers = [await http.get("/v1/auth/me") for _ in range(3)]
                answers.append(await http.post("/v1/auth/token", json={"email": "a@b.c", "password": "x"}))
                await connection.execute(text('ALTER DATABASE "lost" WITH ALLOW_CONNECTIONS true'))
            for answer in answers:
                assert_problem(answer, 503)
                assert answer.headers["retry-after"].isdigit()

            async def back() -> bool:
                return (await http.get("/v1/auth/me")).status_code == 200

            await until(back, timeout_s=10, every_s=0.05)
