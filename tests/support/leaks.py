"""What tests sent and got that nobody may find again, and the search for it in a database's dump and in the logs.

Every request that the tests make to an instance passes `watch`; at the end of the run `search` looks for each value.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import orjson
import psycopg

# shorter ones occur by chance
SHORTEST = 12
FIELDS = frozenset(
    {
        *("password", "new_password", "current_password", "old_password", "passphrase", "private_key"),
        *("api_key", "access_token", "mfa_token", "token", "device_code", "secret", "recovery_codes"),
        *("client_assertion", "id_token", "assertion"),
    }
)
# a `value` is a secret here, and an amount elsewhere
VALUE_PATHS = re.compile(r"/secret(s|-version|-rotate)/")
# a `token` of a balance is a contract
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
HEADERS = ("x-cmek-old-key", "x-cmek-new-key")
# whole credentials by their form, whoever used them: keys of people and agents, tokens
FORMS = re.compile(
    rb"(?:ocv_|1ck_)[A-Za-z0-9_-]{43}|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{40,}"
)


class Ledger:
    """The values seen so far."""

    def __init__(self) -> None:
        self.values: set[str] = set()

    def note(self, value: object) -> None:
        """Remember a value, or each of a list."""
        if isinstance(value, list):
            for each in value:
                self.note(each)
        elif isinstance(value, str) and len(value) >= SHORTEST and not ADDRESS.fullmatch(value):
            self.values.add(value)

    def note_body(self, path: str, body: bytes) -> None:
        """Remember what a JSON body holds, at any depth."""
        try:
            parsed = orjson.loads(body)  # bounded in depth, whatever the interpreter's own limit
        except ValueError:
            return
        for name, value in _members(parsed):
            if name in FIELDS or (name == "value" and VALUE_PATHS.search(path)):
                self.note(value)

    def note_request(self, request: httpx.Request) -> None:
        """Remember the credential and the body."""
        self.note(request.headers.get("authorization", "").partition(" ")[2])
        for name in HEADERS:
            self.note(request.headers.get(name))
        if request.method in ("POST", "PUT", "PATCH", "DELETE") and isinstance(request.stream, httpx.ByteStream):
            body = b"".join(request.stream)
            if "urlencoded" in request.headers.get("content-type", ""):
                for name, value in parse_qsl(body.decode(errors="replace")):
                    self.note(value if name in FIELDS else None)
            else:
                self.note_body(request.url.path, body)

    def note_response(self, request: httpx.Request, response: httpx.Response) -> None:
        """Remember what an answer handed out."""
        for value in response.cookies.values():
            self.note(value)
        if response.is_success and "json" in response.headers.get("content-type", "") and response.is_stream_consumed:
            self.note_body(request.url.path, response.content)


def watch(ledger: Ledger) -> None:
    """Have every httpx client of this process tell the ledger what it sends and gets."""
    send, asend = httpx.Client.send, httpx.AsyncClient.send

    def seen(self: httpx.Client, request: httpx.Request, **more: Any) -> httpx.Response:
        ledger.note_request(request)
        response = send(self, request, **more)
        ledger.note_response(request, response)
        return response

    async def aseen(self: httpx.AsyncClient, request: httpx.Request, **more: Any) -> httpx.Response:
        ledger.note_request(request)
        response = await asend(self, request, **more)
        ledger.note_response(request, response)
        return response

    httpx.Client.send, httpx.AsyncClient.send = seen, aseen  # type: ignore[method-assign,assignment]


def dump(dsn: str) -> Iterator[tuple[str, bytes]]:
    """Every table of every schema, as text."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
        ).fetchall()
        for schema, table in tables:
            with connection.cursor().copy(f'COPY "{schema}"."{table}" TO STDOUT') as copied:
                yield f"{schema}.{table}", b"".join(bytes(part) for part in copied)


def logs(directory: Path) -> Iterator[tuple[str, bytes]]:
    """Every log file of an instance, wherever it lies below its home."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and (path.suffix == ".log" or path.parent.name.startswith("log")):
            yield path.name, path.read_bytes()


def search(values: Iterable[str], places: Iterable[tuple[str, bytes]]) -> tuple[list[str], int]:
    """Where a value or a whole credential was found (never the value itself), and how many bytes were looked at."""
    forms = {value: list(_forms(value)) for value in values}
    found: list[str] = []
    size = 0
    for name, text in places:
        size += len(text)
        found += [f"{name}: a credential ({match.group()[:8].decode()}…)" for match in FORMS.finditer(text)]
        found += [f"{name}: a value of {len(value)} characters" for value in forms if _occurs(forms[value], text)]
    return found, size


def _occurs(forms: list[bytes], text: bytes) -> bool:
    return any(form in text for form in forms)


def _forms(value: str) -> Iterator[bytes]:
    raw = value.encode()
    yield raw
    # as a column of bytes is dumped
    yield raw.hex().encode()
    yield base64.b64encode(raw).rstrip(b"=")[: len(raw) * 4 // 3]


def _members(parsed: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(parsed, dict):
        for name, value in parsed.items():
            yield name, value
            yield from _members(value)
    elif isinstance(parsed, list):
        for each in parsed:
            yield from _members(each)
