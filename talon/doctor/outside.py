"""What is reached by a connection: the running instance, its database, chains, mail server, Redis.

Times in seconds.
"""

import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import redis
from sqlalchemy import make_url

from anvil.chain import CHAIN_ID
from talon.database import DatabaseError, Urls, enter
from talon.doctor.finding import Finding, fault, ok, warning
from talon.migrate import RevisionError, head, require_known
from talon.settings import Settings

TIMEOUT_S = 5.0
# blocks of the slowest chains are minutes apart
OLD_BLOCK_S = 600
_STATE = """
    SELECT (SELECT version_num FROM public.alembic_version), extract(epoch FROM clock_timestamp())
"""
_EPOCH = "SELECT epoch, (SELECT why FROM restores WHERE opened_at IS NULL) FROM instance"


def instance(settings: Settings) -> list[Finding]:
    """What a running instance says of itself, and how its HSM stood its attacks."""
    mend = "see the logs in TALON_HOME/logs"
    try:
        health = _get(f"{settings.base_url}/v1/health")
        hsm = _get(f"{settings.base_url}/v1/health/hsm")
    except (httpx.HTTPError, ValueError) as error:
        return [fault("instance", f"{settings.base_url} does not answer ({type(error).__name__})", mend)]
    found = [ok("instance", "healthy")]
    if health.get("status") != "healthy":
        found = [fault("instance", " ".join(health.get("reasons", [])) or "degraded", mend)]
    for note in health.get("notes", []):
        found.append(warning("instance", note, f"see docs/{'backup' if note.startswith('Frozen') else 'metrics'}.md"))
    checks = hsm.get("custody_checks") or {}
    broken = [name for name, result in checks.items() if result != "refused"]
    if broken or hsm.get("status") != "ok":
        return [*found, fault("custody", f"the HSM is {hsm.get('status')}", mend)]
    return [*found, ok("custody", f"{len(checks)} ways to take a key out were tried and refused")]


def database(urls: Urls, variable: str) -> list[Finding]:
    """Whether it lets us in, at which revision it is, and whether its clock is ours."""
    try:
        version = enter(urls.owner, variable)
        plain = make_url(urls.owner).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(
            plain, connect_timeout=int(TIMEOUT_S), options="-c statement_timeout=5000"
        ) as connection:
            connection.read_only = True
            row = connection.execute(_STATE).fetchone()
            assert row is not None
            revision, now = row
            require_known(revision)
            epoch = connection.execute(_EPOCH).fetchone() if revision == head() else None
    except (DatabaseError, RevisionError) as error:
        return [fault("database", str(error), "see docs/external-parts.md")]
    except psycopg.Error as error:
        return [fault("database", f"it cannot be read ({type(error).__name__})", "talon serve makes its tables")]
    at = f"PostgreSQL {version}, revision {revision}"
    found = [ok("database", at)]
    if revision != head():
        found = [warning("database", f"{at}, older than the program", "talon serve brings it up to date")]
    if abs(float(now) - time.time()) > TIMEOUT_S:
        found.append(warning("clock", "the database's clock is not this machine's", "set both by NTP"))
    if epoch is not None:
        frozen = fault("epoch", f"frozen: {epoch[1]}", "see docs/backup.md") if epoch[1] else None
        found.append(frozen or ok("epoch", f"{epoch[0]}, not frozen"))
    return found


def chains(settings: Settings, *, running: bool) -> list[Finding]:
    """Every endpoint that a variable names, and the local chain while it runs."""
    endpoints = dict(settings.rpc_urls)
    if running and settings.anvil_port:
        endpoints.setdefault(CHAIN_ID, [f"http://127.0.0.1:{settings.anvil_port}"])
    return [
        _endpoint(chain, number, url)
        for chain, urls in sorted(endpoints.items())
        for number, url in enumerate(urls, 1)
    ]


def mail(settings: Settings) -> list[Finding]:
    """Whether the mail server answers; nothing is sent."""
    if settings.smtp_url is None:
        return [ok("mail", "none: mails stay in the outbox")]
    url = urlsplit(settings.smtp_url)
    port = url.port or (465 if url.scheme == "smtps" else 587)
    try:
        socket.create_connection((url.hostname or "", port), TIMEOUT_S).close()
    except OSError as error:
        said = f"the server does not answer on port {port}: {error.strerror or type(error).__name__}"
        return [fault("mail", said, "see TALON_SMTP_URL")]
    return [ok("mail", f"the server answers on port {port}")]


def counters(settings: Settings) -> list[Finding]:
    """Whether Redis answers."""
    if settings.redis_url is None:
        return [ok("redis", "none: rate limits are counted in the database")]
    try:
        client = redis.Redis.from_url(settings.redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
        with client:
            client.ping()
    except redis.RedisError as error:
        return [fault("redis", f"it does not answer ({type(error).__name__})", "see TALON_REDIS_URL")]
    return [ok("redis", "answers")]


def _endpoint(chain: int, number: int, url: str) -> Finding:
    # never the URL: it may hold a provider's key
    part, variable = f"chain {chain}, endpoint {number}", f"TALON_RPC_{chain}"
    try:
        said = int(_rpc(url, "eth_chainId"), 16)
        block = _rpc(url, "eth_getBlockByNumber", "latest", False)
        age = int(time.time() - int(block["timestamp"], 16))
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        return fault(part, f"no answer that can be used ({type(error).__name__})", f"see {variable}")
    if said != chain:
        return fault(part, f"it is an endpoint of chain {said}", f"name it in TALON_RPC_{said}, or take it out")
    if age > OLD_BLOCK_S:
        return warning(part, f"its newest block is {age} s old", "it may have fallen behind; is the clock right?")
    if age < -OLD_BLOCK_S:
        return fault(part, f"its newest block is {-age} s ahead of this machine's clock", "set the clock by NTP")
    return ok(part, f"its newest block is {age} s old")


def _rpc(url: str, method: str, *parameters: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
    answer = httpx.post(url, json=body, timeout=TIMEOUT_S).raise_for_status().json()
    return answer["result"]


def _get(url: str) -> Mapping[str, Any]:
    # 503 has a body too, which says why
    answer = httpx.get(url, timeout=TIMEOUT_S).json()
    if not isinstance(answer, dict):
        raise ValueError("no object")
    return answer
