"""What a token may say, and for how long [pure]: the signer makes the claims of these few facts, and sets the times.

Claims are never handed over whole: whoever subverts the API has a token made for a kind and a lifetime that are known
here, from now on, and not one that counts for thirty years.
"""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from signer.errors import ProtocolError
from signer.protocol import uuid_of

ISSUER: Final = "talon"
# the longest a token of each kind lives, in seconds; a kind that is not here gets none
LONGEST_LIFETIME_S: Final = {"user": 86_400, "agent": 86_400}
LONGEST_S: Final = max(LONGEST_LIFETIME_S.values())
MAX_NUMBER: Final = 2**31 - 1


@dataclass(frozen=True)
class TokenOrder:
    """Who a token is for and what it says of them.

    `version` is the principal's `token_version`; `key_id` the personal API key that a person's token ends with.
    """

    kind: str
    subject: UUID
    org_id: UUID
    lifetime_s: int
    version: int
    scopes: tuple[str, ...] = ()
    vault_ids: tuple[UUID, ...] = ()
    intents_api_enabled: bool = False
    key_id: UUID | None = None


def to_args(order: TokenOrder) -> dict[str, Any]:
    """The order as it crosses the socket."""
    args: dict[str, Any] = {
        "kind": order.kind,
        "subject": str(order.subject),
        "org_id": str(order.org_id),
        "lifetime_s": order.lifetime_s,
        "version": order.version,
        "scopes": list(order.scopes),
        "vault_ids": [str(each) for each in order.vault_ids],
        "intents_api_enabled": order.intents_api_enabled,
    }
    return args if order.key_id is None else args | {"key_id": str(order.key_id)}


def order_of(args: dict[str, Any]) -> TokenOrder:
    """The inverse; ProtocolError for an unknown kind, a lifetime out of bounds, or a field of another shape."""
    kind, flag = args.get("kind"), args.get("intents_api_enabled")
    longest_s = LONGEST_LIFETIME_S.get(kind) if isinstance(kind, str) else None
    if not isinstance(kind, str) or longest_s is None:
        raise ProtocolError("no token is made for this kind of subject")
    if not isinstance(flag, bool):
        raise ProtocolError("intents_api_enabled is not true or false")
    if kind != "user" and "key_id" in args:
        raise ProtocolError("only a person's token ends with a personal key")
    return TokenOrder(
        kind=kind,
        subject=uuid_of(args, "subject"),
        org_id=uuid_of(args, "org_id"),
        lifetime_s=_number(args, "lifetime_s", longest_s),
        version=_number(args, "version", MAX_NUMBER),
        scopes=tuple(_texts(args, "scopes")),
        vault_ids=tuple(uuid_of({"id": each}, "id") for each in _texts(args, "vault_ids")),
        intents_api_enabled=flag,
        key_id=uuid_of(args, "key_id") if "key_id" in args else None,
    )


def claims_of(order: TokenOrder, now_s: int, token_id: UUID) -> dict[str, Any]:
    """The claims of a token made now (RFC 7519; times in seconds since 1970)."""
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "sub": f"{order.kind}:{order.subject}",
        "org": str(order.org_id),
        "scopes": list(order.scopes),
        "vault_ids": [str(each) for each in order.vault_ids],
        "iat": now_s,
        "exp": now_s + order.lifetime_s,
        "jti": str(token_id),
        "intents_api_enabled": order.intents_api_enabled,
        "ver": order.version,
    }
    return claims if order.key_id is None else claims | {"key": str(order.key_id)}


def _number(args: dict[str, Any], name: str, largest: int) -> int:
    value = args.get(name)
    if type(value) is not int or not 0 < value <= largest:
        raise ProtocolError(f"{name} is not a number from 1 to {largest}")
    return value


def _texts(args: dict[str, Any], name: str) -> list[str]:
    values = args.get(name)
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise ProtocolError(f"{name} is not a list of texts")
    return values
