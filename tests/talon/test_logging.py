"""Nothing that a log line can hold lets a secret through."""

import json
import logging
import subprocess
import sys

import pytest

from talon.logging import is_secret_name, redact, redact_text

JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhZ2VudCJ9.c2lnbmF0dXJl"
KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
HASH = "0x" + "ab" * 32
ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"

TEXTS = [
    (f"agent used ocv_{KEY}", KEY),
    ("key 1ck_AbCdEf0123456789-_x was wrong", "AbCdEf0123456789"),
    (f"Authorization: Bearer {JWT}", JWT),
    (f"token was {JWT} today", JWT),
    ("Bearer opaque-token-123", "opaque-token-123"),
    (f"private key 0x{KEY} is invalid", KEY),
    (f"the key={KEY}", KEY),
    ("login with password=hunter22 failed", "hunter22"),
    ('{"password": "hunter22"}', "hunter22"),
    ("PIN: 0123456789abcdef", "0123456789abcdef"),
    ("postgresql+psycopg://talon_app:hunter22@/talon", "hunter22"),
    ("https://mainnet.example/v3/0123456789abcdef0123 answered 500", "0123456789abcdef0123"),
    ("wss://rpc.example/?apikey=0123456789abcdef0123", "0123456789abcdef0123"),
    ("raw 0x02f8" + "ab" * 120, "ab" * 100),
    ("(psycopg.Error) oops\n[SQL: SELECT 1]\n[parameters: {'a': 'hunter22'}]", "hunter22"),
    ("DETAIL:  Key (email)=(a@b.c) already exists", "a@b.c"),
    ("DETAIL:  Failing row contains (1, hunter22, null).", "hunter22"),
]


@pytest.mark.parametrize(("text", "secret"), TEXTS)
def test_a_text_loses_what_looks_like_a_credential(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        f"transaction {HASH} mined",
        f"sent to {ADDRESS}",
        "GET https://rpc.example/health 200",
        "5 keys loaded",
        "wallet 31337:0x70997970 nonce 7",
    ],
)
def test_a_text_keeps_what_an_operator_needs(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "name",
    ["authorization", "Authorization", "X-Api-Key", "api_key", "password", "pin", "user_pin", "access_token", "token",
     "private_key", "value", "signed_tx", "client_secret", "DATABASE_URL", "set-cookie"],
)  # fmt: skip
def test_a_secrets_name_hides_any_value(name: str) -> None:
    assert is_secret_name(name)
    assert redact({"deep": [{name: {"even": "this"}}]}) == {"deep": [{name: "***"}]}


@pytest.mark.parametrize("name", ["token_symbol", "value_wei", "path", "key_id", "tx_hash", "chain_id", "spinning"])
def test_an_innocent_name_hides_nothing(name: str) -> None:
    assert redact({name: "x"}) == {name: "x"}


def test_bytes_become_their_length() -> None:
    assert redact({"digest": b"\x01" * 32}) == {"digest": "<32 bytes>"}


def test_what_refers_to_itself_ends() -> None:
    loop: dict[str, object] = {}
    loop["self"] = loop
    assert "***" in json.dumps(redact(loop))


PROGRAM = f"""
import logging, structlog
from talon.logging import configure
configure("debug")
logging.getLogger("stdlib").warning("with %s", "Bearer {JWT}")
logging.getLogger("stdlib").warning("extra", extra={{"password": "hunter22"}})
structlog.get_logger("structured").info("said", token="hunter22", deep={{"pin": "hunter22"}}, note="ocv_hunter22")
try:
    raise ValueError("key 0x{KEY}")
except ValueError:
    logging.getLogger("stdlib").exception("failed")
import warnings
warnings.warn("Bearer {JWT}")
raise RuntimeError("last words: Bearer {JWT}")
"""


def test_a_whole_process_says_no_secret_in_any_way() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    for secret in (JWT, KEY, "hunter22"):
        assert secret not in done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"][:6] for line in lines] == ["with B", "extra", "said", "failed", "<strin", "uncaug"]
    assert all({"event", "level", "timestamp", "logger"} <= line.keys() for line in lines)
    assert "ValueError" in lines[3]["exception"]


def test_this_process_keeps_its_own_logging() -> None:
    # configuring is for the programs; importing must not reach into others
    assert not any(
        type(handler.formatter).__name__ == "ProcessorFormatter" for handler in logging.getLogger().handlers
    )
