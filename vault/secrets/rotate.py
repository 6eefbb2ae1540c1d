"""Replace a secret's value by a new version, which the server makes up unless the caller gives it."""

from uuid import UUID

from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import conflict
from vault.secrets import absent, repository
from vault.secrets.paths import check_path
from vault.secrets.random_value import random_value
from vault.secrets.repository import Row
from vault.secrets.schemas import RotateSecretRequest, SecretCreatedResponse
from vault.secrets.shown import created_of
from vault.secrets.types import PRIVATE_KEY
from vault.secrets.write import NewVersion, Place, place_for, store


async def rotate_secret(
    context: Context, caller: Caller, vault_id: UUID, path: str, body: RotateSecretRequest
) -> SecretCreatedResponse:
    """Store the next version of what is there, also of what has expired or is disabled; the answer has no value.

    Raises 403, 404 when nothing was ever there, 410 when it is deleted, 409 for a signing key and where a random
    value would be none.
    """
    check_path(path)
    async with context.database.begin() as transaction:
        place, access = await place_for(transaction, caller, vault_id, path, may_begin=False)
        # looked at under the path's lock; the rollback undoes the version number taken
        before = await repository.newest(transaction, place.secret_id)
        if before is None:
            raise absent.missing(path) if place.version == 1 else absent.deleted(path)
        # it may lie behind something that came later
        there = await repository.current(transaction, vault_id, path)
        if before["key_id"] is not None or (there is not None and there["key_id"] is not None):
            raise conflict(f"There is a signing key at {path}; its address cannot have another key")
        wanted = _successor(place, before, body)
        row = await store(transaction, context.signer, caller, place, wanted)
        if body.metadata is None and not access.may(path, "read"):
            # what was taken over is not the caller's to see
            row = {**row, "metadata": {}}
    return SecretCreatedResponse(**created_of(place.secret_id, path, row))


def _successor(place: Place, before: Row, body: RotateSecretRequest) -> NewVersion:
    """The version that follows `before`; 409 where nothing may follow it this way."""
    type_ = body.named_type or before["type"]
    if body.value is None and place.cmek_fingerprint is not None:
        raise conflict("Values of this vault are encrypted with your own key (CMEK); send `value`, encrypted with it")
    if body.value is None and type_ == PRIVATE_KEY:
        raise conflict("A random value is no private key; send `value`, or have one made with secret-generate")
    return NewVersion(
        type=type_,
        value=random_value(body.length, body.charset) if body.value is None else body.value,
        metadata=before["metadata"] if body.metadata is None else body.metadata,
        expires_at=body.expires_at,
        rotation_policy=before["rotation_policy"] if body.rotation_policy is None else body.rotation_policy,
        max_access_count=body.max_access_count,
    )
