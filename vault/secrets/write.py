"""Store a value or have a signing key made in place, as a new version with its audit row."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from chains.addresses import format_address
from signer.client import SignerClient
from signer.ecdsa import address_of, public_key_of_private
from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import bad_request, conflict, not_found
from vault.orgs.tiers import require_room_for
from vault.policies.access import Access, load_access, load_access_again
from vault.secrets import reach, repository
from vault.secrets.confirm import with_word
from vault.secrets.context import seal_context
from vault.secrets.key_text import KeyText, NotOneKey, read_key
from vault.secrets.paths import check_path
from vault.secrets.reach import NOTHING, require_cleared
from vault.secrets.repository import Row
from vault.secrets.schemas import GenerateKeyRequest, PutSecretRequest, SecretCreatedResponse
from vault.secrets.shown import created_of
from vault.secrets.types import GENERIC, PRIVATE_KEY


@dataclass(frozen=True)
class Place:
    """Where a version is written; `context` binds the sealed value to it.

    `cmek_fingerprint` names the customer's key that values for this vault come encrypted under, if they do.
    """

    vault_id: UUID
    path: str
    secret_id: UUID
    version: int
    cmek_fingerprint: str | None

    @property
    def context(self) -> bytes:
        """The associated data of the seal."""
        return seal_context(self.vault_id, self.path, self.version)


@dataclass(frozen=True)
class NewVersion:
    """What a caller wants stored."""

    type: str
    value: str = field(repr=False)
    metadata: dict[str, Any]
    expires_at: datetime | None
    rotation_policy: dict[str, Any] | None
    max_access_count: int | None


async def put_secret(
    context: Context,
    caller: Caller,
    vault_id: UUID,
    path: str,
    body: PutSecretRequest,
    *,
    confirm: str | None = None,
) -> SecretCreatedResponse:
    """Store a new version. A private key that fits secp256k1 goes behind the HSM instead of being sealed.

    403 for an agent where a signing key lies; 409 `confirmation_required` where another key than the one that holds
    coin there would sign from then on.
    """
    check_path(path)

    async def attempt(cleared: frozenset[bytes]) -> tuple[UUID, Row]:
        async with context.database.begin() as transaction:
            place, _ = await place_for(transaction, caller, vault_id, path, may_begin=True)
            wanted = NewVersion(
                type=body.named_type or await repository.newest_type(transaction, place.secret_id) or GENERIC,
                value=body.value,
                metadata=body.metadata,
                expires_at=body.expires_at,
                rotation_policy=body.rotation_policy,
                max_access_count=body.max_access_count,
            )
            return place.secret_id, await store(transaction, context.signer, caller, place, wanted, cleared)

    secret_id, row = await with_word(context, confirm, "address", attempt)
    return SecretCreatedResponse(**created_of(secret_id, path, row))


async def generate_key(
    context: Context, caller: Caller, vault_id: UUID, path: str, body: GenerateKeyRequest
) -> SecretCreatedResponse:
    """Generate a signing key in the HSM for this path; 409 when something is there, so that no key is displaced."""
    check_path(path)
    async with context.database.begin() as transaction:
        place, _ = await place_for(transaction, caller, vault_id, path, may_begin=True)
        # looked at under the path's lock; the rollback undoes the version number taken
        there = await repository.current(transaction, vault_id, path)
        if there is not None and there["version"] is not None:
            raise conflict(f"There is a secret at {path} already; delete it first or choose another path")
        key = await context.signer.generate_key(uuid4())
        row = await _write_version(
            transaction,
            caller,
            place,
            type=PRIVATE_KEY,
            metadata=body.metadata,
            expires_at=body.expires_at,
            key_id=key.key_id,
            address=key.address,
            # nobody knows a key that was born here, but where something lay before, a human says what it is now
            unconfirmed=caller.is_agent and place.version > 1,
        )
    return SecretCreatedResponse(**created_of(place.secret_id, path, row))


async def place_for(
    transaction: AsyncConnection, caller: Caller, vault_id: UUID, path: str, *, may_begin: bool
) -> tuple[Place, Access]:
    """The place of the caller's next version, and what the caller may do; 403 and 404 as `load_access` says.

    403 too for an agent where a signing key lies and, where a secret may begin, when the organisation's tier has no
    room for one more.
    """
    # before anything is locked, for nobody without permission may do that
    (await load_access(transaction, caller, vault_id)).require(path, "write")
    place = await take_place(transaction, vault_id, path)
    if may_begin:
        await require_room_for(transaction, caller.org_id, place.secret_id)
    # once more behind all locks: a policy may have been taken back while this waited for other writers
    access = await load_access_again(transaction, caller, vault_id)
    access.require(path, "write")
    if caller.is_agent:
        reach.spare(caller, await repository.key_addresses(transaction, vault_id, path), f"at {path}")
    return place, access


async def take_place(transaction: AsyncConnection, vault_id: UUID, path: str) -> Place:
    """The place of the next version, which nobody else gets; 404 when the vault was deleted meanwhile.

    Locks the path: concurrent writers get consecutive versions, and the version is bound into the seal. Holds the
    vault's customer key first, so that no rotation of it goes by between this look and the commit.
    """
    vault = await repository.hold_vault(transaction, vault_id)
    if vault is None:
        raise not_found("Vault not found")
    secret_id, version = await repository.next_version(transaction, vault_id, path)
    return Place(vault_id, path, secret_id, version, vault["cmek_fingerprint"])


async def store(
    transaction: AsyncConnection,
    signer: SignerClient,
    caller: Caller,
    place: Place,
    wanted: NewVersion,
    cleared: frozenset[bytes] = NOTHING,
) -> Row:
    """Protect the value and write its version; the row also has `read_as`. 400 for a broken key.

    409 when what cannot sign would displace a signing key, AtRisk when another key would.
    """
    read = _signing_key(place, wanted)
    key = None if read is None else read.key
    # before the key is imported: the HSM's part is not undone by a rollback
    await _keep_signing_key(transaction, place, key, cleared)
    content = await _protect(signer, place, wanted, key)
    # whoever brings a key knows it: an agent's own must not become an address that people fund
    content["unconfirmed"] = caller.is_agent and key is not None
    row = await _write_version(
        transaction,
        caller,
        place,
        type=wanted.type,
        metadata=wanted.metadata,
        expires_at=wanted.expires_at,
        rotation_policy=wanted.rotation_policy,
        # 0 is unlimited, like none at all
        max_access_count=wanted.max_access_count or None,
        **content,
    )
    return {**row, "read_as": None if read is None else read.read_as}


async def _keep_signing_key(
    transaction: AsyncConnection, place: Place, key: bytes | None, cleared: frozenset[bytes]
) -> None:
    """409 when something that cannot sign would take the place of a signing key: a slip that stops a wallet.

    AtRisk when another key than the one there would.
    """
    there = await repository.current(transaction, place.vault_id, place.path)
    if there is None or there["key_id"] is None:
        return
    if key is None:
        raise conflict(f"There is a signing key at {place.path}; delete it first to store something else there")
    if not there["unconfirmed"] and address_of(public_key_of_private(key)) != bytes(there["address"]):
        require_cleared([bytes(there["address"])], cleared)


def _signing_key(place: Place, wanted: NewVersion) -> KeyText | None:
    """The key that the value is; None for what is only to be sealed, 400 for a broken key."""
    # encrypted by its owner: it looks like nothing, so nothing is looked for
    if wanted.type != PRIVATE_KEY or place.cmek_fingerprint is not None:
        return None
    try:
        return read_key(wanted.value)
    except NotOneKey as fault:
        raise bad_request(f"value: {fault}") from None


async def _protect(signer: SignerClient, place: Place, wanted: NewVersion, key_bytes: bytes | None) -> dict[str, Any]:
    """The columns that stand for the value: a key reference, a sealed value, or (asked for) both."""
    if key_bytes is None:
        sealed = await _seal(signer, place, wanted)
        return sealed if place.cmek_fingerprint is None else {**sealed, "cmek_fingerprint": place.cmek_fingerprint}
    key = await signer.import_key(uuid4(), key_bytes)
    columns: dict[str, Any] = {"key_id": key.key_id, "address": key.address}
    columns["exportable"] = wanted.metadata.get("exportable") is True
    return {**columns, **await _seal(signer, place, wanted)} if columns["exportable"] else columns


async def _seal(signer: SignerClient, place: Place, wanted: NewVersion) -> dict[str, Any]:
    return {"sealed": await signer.seal(place.vault_id, place.context, wanted.value.encode())}


async def _write_version(
    transaction: AsyncConnection, caller: Caller, place: Place, *, metadata: dict[str, Any], **columns: Any
) -> Row:
    """Insert the version and its audit row."""
    row = await repository.add_version(
        transaction,
        {
            "secret_id": place.secret_id,
            "version": place.version,
            "metadata": metadata,
            "created_by": caller.id,
            "created_by_type": caller.kind,
            **columns,
        },
    )
    await write_for(
        transaction,
        caller,
        "secret.write",
        "secret",
        place.secret_id,
        vault_id=str(place.vault_id),
        path=place.path,
        version=place.version,
        type=row["type"],
        **_audited_key(row),
    )
    return row


def _audited_key(row: Row) -> dict[str, Any]:
    if row["address"] is None:
        return {}
    if row["unconfirmed"]:
        return {"unconfirmed": True}
    return {"address": format_address(bytes(row["address"]))}
