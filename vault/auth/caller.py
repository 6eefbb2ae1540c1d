"""Who is asking: a value every router gets from `vault.auth.dependencies`."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID


@dataclass(frozen=True)
class Caller:
    """An authenticated principal, re-checked against the database for this very request.

    `role` is owner, admin or member for users and None for agents. `credential` names how the caller proved
    itself; `token_id` and `token_expires_at` are the JWT's `jti` and `exp` (needed to revoke it). `scopes` are
    the token's path scopes (None: not narrowed). `vault_ids` is the agent's binding (empty: unrestricted).

    `version`, `key_id` and `session` say which credential it was, so that it can be asked again whether it still
    counts (`vault.auth.again`): the principal's `token_version` it hangs on (None: on none), the id of the personal
    API key, the digest of the browser's session.
    """

    kind: Literal["user", "agent"]
    id: UUID
    org_id: UUID
    role: Literal["owner", "admin", "member"] | None
    credential: Literal["jwt", "api_key", "session"]
    token_id: str | None = None
    token_expires_at: datetime | None = None
    scopes: tuple[str, ...] | None = None
    vault_ids: tuple[UUID, ...] = ()
    intents_api_enabled: bool = False
    is_platform_admin: bool = False
    ip_address: str | None = None
    version: int | None = None
    key_id: UUID | None = None
    session: bytes | None = field(default=None, repr=False)

    @property
    def is_agent(self) -> bool:
        """True for an agent, False for a human."""
        return self.kind == "agent"

    @property
    def is_org_admin(self) -> bool:
        """True for a human who may manage the organisation (owner or admin)."""
        return self.role in ("owner", "admin")

    @property
    def principal(self) -> str:
        """The typed form used in JWT `sub` and in `created_by` of secrets: `user:<uuid>` or `agent:<uuid>`."""
        return f"{self.kind}:{self.id}"
