"""Orders of tokens, and a token-signing key that somebody copied: he signs what he likes, and it verifies.

The signer makes no token with claims of a stranger's choice, so tests that need one put a key of their own beside
the signer's, as one that was rotated away.
"""

import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import jwt
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.token_order import TokenOrder, claims_of


def some_order(**fields: Any) -> TokenOrder:
    """An agent's token for a minute; `fields` override."""
    plain: dict[str, Any] = {
        "kind": "agent",
        "subject": uuid4(),
        "org_id": uuid4(),
        "lifetime_s": 60,
        "version": 3,
        "scopes": ("keys/*", "Zoë ☂"),
        "vault_ids": (uuid4(),),
        "intents_api_enabled": True,
    }
    return TokenOrder(**plain | fields)


@dataclass(frozen=True)
class CopiedKey:
    """`kid` names it among the signer's keys."""

    kid: str
    private: Ed25519PrivateKey = field(repr=False)

    def sign(self, claims: dict[str, Any]) -> str:
        """A token with these claims."""
        return jwt.encode(claims, self.private, algorithm="EdDSA", headers={"kid": self.kid})

    def token(self, order: TokenOrder, **changes: Any) -> str:
        """What the signer would make of the order, with some claims changed; None leaves one out."""
        claims = claims_of(order, int(time.time()), uuid4()) | changes
        return self.sign({name: value for name, value in claims.items() if value is not None})


async def copied_key(dsn: str, retired_s_ago: float = 0) -> CopiedKey:
    """Make one, rotated away so long ago; `dsn` is the signer's database, with its owner's rights."""
    key = CopiedKey(secrets.token_hex(8), Ed25519PrivateKey.generate())
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(
            "INSERT INTO signer.jwt_keys (kid, public_key, created_at, retired_at) "
            "VALUES (%(kid)s, %(public)s, now() - interval '1 year', now() - %(ago)s * interval '1 second')",
            {"kid": key.kid, "public": key.private.public_key().public_bytes_raw(), "ago": retired_s_ago},
        )
    return key
