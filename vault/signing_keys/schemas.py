"""Wire forms of an agent's signing keys."""

from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints

from vault.schemas import ExactModel, Identifier, Reply, Timestamp


class BindSigningKeyRequest(ExactModel):
    """In which vault lies the key that an agent means by a path."""

    signing_key_path: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    vault_id: Identifier


class SigningKeyReply(Reply):
    """A path and the one secret it stands for; `address` is what signs now, absent while nothing there can.

    `bound_by` is `user:<id>` for a human's word, `agent:<id>` where the agent's first signature bound it.
    """

    signing_key_path: str
    vault_id: UUID
    secret_id: UUID
    address: str | None = None
    bound_by: str
    bound_at: Timestamp


class SigningKeyListReply(Reply):
    """A page of an agent's signing keys, by path."""

    signing_keys: list[SigningKeyReply]
