"""Which `TALON_…` variables there are [pure]: ours, those of programs that talk to Talon, and those of a cluster."""

import re
from collections.abc import Iterable

from talon.settings.near import distance
from vault.limits.names import NAMES as RATE_LIMITS

PREFIX = "TALON_"
RPC_PREFIX = "TALON_RPC_"
RATE_LIMIT_PREFIX = "TALON_RATE_LIMIT_"
# so close to a known name, an unknown one is taken for a slip of the finger
SLIP = 2

# clients, command lines and tools of the contract, and our own tests: nothing that a server reads
OF_CLIENTS = frozenset(
    PREFIX + name
    for name in (
        *("API_KEY", "API_URL", "BASE_URL", "TOKEN", "ORG_ID", "VAULT_ID", "PROFILE"),
        *("AGENT_ID", "AGENT_API_KEY", "AGENT_TOKEN", "LOCAL_ONLY", "ETH_USD_PRICE", "SOAK"),
    )
)
_OF_CLIENTS = re.compile(r"TALON_(MCP|CLI|TEST)_[A-Z0-9_]+")
# Kubernetes tells a pod of every service in its namespace: of `talon` by TALON_PORT=tcp://10.0.0.1:8000, of
# `talon-cache` by TALON_CACHE_PORT and so on (the form of Docker's links)
_LINK = re.compile(
    r"TALON_(?:[A-Z0-9_]+_)?"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_LINK_URL = re.compile(r"TALON_(?:[A-Z0-9_]+_)?PORT")
_LINK_VALUE = re.compile(r"(?:tcp|udp|sctp)://")
_RPC = re.compile(r"TALON_RPC_([1-9][0-9]{0,18})")


def chain_of(name: str) -> int | None:
    """The chain id in TALON_RPC_<CHAIN_ID>; None if there is none that a chain can have."""
    found = _RPC.fullmatch(name)
    number = int(found[1]) if found else 0
    return number if 0 < number < 2**63 else None


def is_link(value: str) -> bool:
    """Whether a value is what a cluster writes into a service link."""
    return _LINK_VALUE.match(value) is not None


def is_foreign(name: str, value: str) -> bool:
    """Whether a variable that we do not read is known to be somebody else's."""
    if name in OF_CLIENTS or _OF_CLIENTS.fullmatch(name) or _LINK.fullmatch(name):
        return True
    # TALON_CACHE_PORT=8000 may be a slip, TALON_CACHE_PORT=tcp://… is none
    return _LINK_URL.fullmatch(name) is not None and is_link(value)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that an unknown one was meant to be, if one is within SLIP letters; the closest."""
    number = re.search(r"[0-9]+$", name)
    candidates = [*known, *(RATE_LIMIT_PREFIX + limit.upper() for limit in RATE_LIMITS)]
    if number and chain_of(RPC_PREFIX + number[0]) is not None:
        candidates.append(RPC_PREFIX + number[0])
    steps, closest = min((distance(name, candidate), candidate) for candidate in candidates)
    return closest if steps <= SLIP else None
