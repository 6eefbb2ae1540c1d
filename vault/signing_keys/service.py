"""Bind an agent's signing_key_path to a secret: at its first signature, or by a human's word."""

from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.addresses import format_address
from vault.agents import repository as agents
from vault.audit.write import write_for
from vault.auth.again import still_admin
from vault.auth.caller import Caller
from vault.columns import AnyRow
from vault.errors import Problem, bad_request, not_found
from vault.policies.access import load_access
from vault.schemas import Page
from vault.secrets import repository as secrets
from vault.secrets.confirm import agrees, mistaken
from vault.secrets.models import Secret, SecretVersion
from vault.secrets.paths import check_path
from vault.secrets.signing_key import SigningKey
from vault.signing_keys.models import AgentSigningKey
from vault.signing_keys.schemas import BindSigningKeyRequest, SigningKeyReply
from vault.vaults.models import Vault

_TABLE = cast(Table, AgentSigningKey.__table__)
_KEYS = [_TABLE.c.agent_id, _TABLE.c.path]
_SECRETS, _VERSIONS, _VAULTS = (cast(Table, each.__table__) for each in (Secret, SecretVersion, Vault))

# the newest enabled version of the bound secret, if it and its vault are live
_ADDRESS = (
    select(_VERSIONS.c.address)
    .join_from(_VERSIONS, _SECRETS, _SECRETS.c.id == _VERSIONS.c.secret_id)
    .join(_VAULTS, _VAULTS.c.id == _SECRETS.c.vault_id)
    .where(
        _VERSIONS.c.secret_id == _TABLE.c.secret_id,
        _VERSIONS.c.disabled_at.is_(None),
        _VERSIONS.c.deleted_at.is_(None),
        _VERSIONS.c.key_id.is_not(None),
        ~_VERSIONS.c.unconfirmed,
        _VAULTS.c.deleted_at.is_(None),
    )
    .order_by(_VERSIONS.c.version.desc())
    .limit(1)
    .scalar_subquery()
    .label("address")
)


async def bind_first(connection: AsyncConnection, caller: Caller, path: str, key: SigningKey) -> None:
    """Bind an agent's path to what it signs with for the first time, inside the transaction of that signature.

    The caller holds the agent's budget and shares its row: no other signature and no human binds it meanwhile.
    """
    values = {"agent_id": caller.id, "path": path, "vault_id": key.vault_id, "secret_id": key.secret_id}
    await connection.execute(insert(_TABLE).values(values))
    await _audit(connection, caller, caller.id, values, key.address)


async def bind(
    connection: AsyncConnection,
    caller: Caller,
    agent_id: UUID,
    request: BindSigningKeyRequest,
    confirm: str | None = None,
) -> SigningKeyReply:
    """Bind it by a human's word, whatever it was bound to; 404 without such an agent, vault or key.

    A key that an agent brought becomes a wallet by it, when `confirm` is its address; until then 409
    `confirmation_required` that shows it.
    """
    path, vault_id = request.signing_key_path, request.vault_id
    check_path(path, field="signing_key_path")
    # waits for a signature of this agent that is under way: what it is bound to changes before it or after it
    if await agents.find(connection, caller.org_id, agent_id, lock=True) is None:
        raise not_found("No such agent")
    await still_admin(connection, caller)
    (await load_access(connection, caller, vault_id)).require_manager()
    await secrets.lock(connection, vault_id, path)
    there = await secrets.current(connection, vault_id, path)
    if there is None or there["version"] is None or there["secret_deleted_at"] is not None:
        raise not_found(f"There is no signing key at {path} in this vault")
    if there["key_id"] is None:
        raise bad_request(f"The secret at {path} is not a signing key", signing_key_path="not a signing key")
    address = bytes(there["address"])
    if there["unconfirmed"]:
        # behind the lock: the agent may have put another key there since the person looked
        if not agrees(confirm, [address], "address"):
            raise _unconfirmed(path, format_address(address), confirm)
        await secrets.confirm_key(connection, there["secret_id"], there["version"])
    values: dict[str, Any] = {"vault_id": vault_id, "secret_id": there["secret_id"], "bound_by": caller.id}
    found = await connection.execute(select(_TABLE.c.vault_id).where(*_is(agent_id, path)))
    before = found.scalar_one_or_none()
    statement = insert(_TABLE).values(agent_id=agent_id, path=path, **values)
    replaced = {**values, "bound_at": statement.excluded.bound_at}
    row = await connection.execute(
        statement.on_conflict_do_update(index_elements=_KEYS, set_=replaced).returning(*_TABLE.c)
    )
    before_text = None if before is None else str(before)
    await _audit(connection, caller, agent_id, {"path": path, **values}, address, before_vault_id=before_text)
    return shown(row.one(), address)


async def listed(connection: AsyncConnection, caller: Caller, agent_id: UUID, page: Page) -> list[SigningKeyReply]:
    """A page of an agent's bound paths, by path; 404 for an agent of nobody's or another's."""
    if await agents.find(connection, caller.org_id, agent_id) is None:
        raise not_found("No such agent")
    query = select(*_TABLE.c, _ADDRESS).where(_TABLE.c.agent_id == agent_id).order_by(_TABLE.c.path)
    found = await connection.execute(query.limit(page.limit).offset(page.offset))
    return [shown(row, row.address) for row in found]


def _unconfirmed(path: str, address: str, confirm: str | None) -> Problem:
    return Problem(
        409,
        f"An agent brought the key of {address} to {path}: make sure that it is the one you mean, the agent may know"
        f" its private key. {mistaken(confirm, address)}Nothing was done; repeat the request with"
        f" ?confirm={address} to make it a wallet.",
        type="confirmation_required",
        title="Confirmation Required",
        extra={"addresses": [address], "address_count": 1},
    )


def _is(agent_id: UUID, path: str) -> tuple[Any, Any]:
    return _TABLE.c.agent_id == agent_id, _TABLE.c.path == path


async def _audit(
    connection: AsyncConnection, caller: Caller, agent_id: UUID, bound: dict[str, Any], address: bytes, **more: Any
) -> None:
    await write_for(
        connection,
        caller,
        "agent.bind_signing_key",
        "agent",
        agent_id,
        signing_key_path=bound["path"],
        vault_id=str(bound["vault_id"]),
        address=format_address(address),
        **more,
    )


def shown(row: AnyRow, address: bytes | None) -> SigningKeyReply:
    """A binding as people see it."""
    return SigningKeyReply(
        signing_key_path=row.path,
        vault_id=row.vault_id,
        secret_id=row.secret_id,
        address=None if address is None else format_address(bytes(address)),
        bound_by=f"agent:{row.agent_id}" if row.bound_by is None else f"user:{row.bound_by}",
        bound_at=row.bound_at,
    )
