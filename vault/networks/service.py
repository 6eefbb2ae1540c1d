"""The chain registry: seeding, resolving a spelling to one chain, and what the platform admin may change."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.exc import IntegrityError

from chains.chain import Chain
from chains.defaults import ALIASES, ANVIL, DEFAULT_CHAINS
from chains.registry import resolve
from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.db import Database
from vault.errors import bad_request, conflict, not_found
from vault.networks import repository
from vault.networks.repository import Row, Transaction
from vault.schemas import Page

MAX_CHAIN_ID = 2**63 - 1


async def seed_chains(transaction: Transaction, *, with_anvil: bool, anvil_rpc_url: str | None = None) -> None:
    """Register the default chains that were never registered, and the local chain while it runs.

    A default chain that an admin changed or removed stays as the admin left it. The local chain belongs to the
    installation: its row follows the port it runs on, and is disabled when it does not run.
    """
    known = await repository.known_chain_ids(transaction)
    for chain in DEFAULT_CHAINS:
        if chain.chain_id not in known:
            await repository.create(transaction, _columns(chain))
    row = await repository.newest_by_chain_id(transaction, ANVIL.chain_id)
    if row is not None and row["deleted_at"] is None:
        values = {"is_enabled": with_anvil, "rpc_url": anvil_rpc_url if with_anvil else row["rpc_url"]}
        await repository.change(transaction, row["id"], values)
    elif row is None and with_anvil:
        await repository.create(
            transaction, {**_columns(ANVIL), "is_enabled": True, "rpc_url": anvil_rpc_url or ANVIL.rpc_url}
        )


async def resolve_chain(transaction: Transaction, identifier: str | int) -> Chain:
    """The one enabled chain that a name, alias or numeric id means; 400 for an unknown or disabled one."""
    chain = await find_chain(transaction, identifier)
    if chain is None:
        raise bad_request(f"Unknown chain {str(identifier)[:64]!r}; GET /v1/chains lists the chains there are")
    if not chain.is_enabled:
        raise bad_request(f"Chain {chain.name} is disabled")
    return chain


async def resolve_chains(transaction: Transaction, identifiers: Iterable[str | int]) -> frozenset[int]:
    """Canonical chain ids of those identifiers that are known, disabled or not; unknown ones are left out."""
    wanted = list(identifiers)
    chains = await _candidates(transaction, wanted)
    resolved = (resolve(identifier, chains) for identifier in wanted)
    return frozenset(chain.chain_id for chain in resolved if chain is not None)


async def find_chain(transaction: Transaction, identifier: str | int) -> Chain | None:
    """The registered chain, enabled or not, that a name, alias or numeric id means."""
    return resolve(identifier, await _candidates(transaction, [identifier]))


async def load_chain(transaction: Transaction, chain_id: int) -> Chain | None:
    """The chain of a transaction that already exists: also a disabled or removed one, to see it through."""
    row = await repository.newest_by_chain_id(transaction, chain_id)
    return None if row is None else chain_of(row)


async def all_chains(transaction: Transaction) -> list[Chain]:
    """Every chain ever registered, disabled and removed ones included: what was signed there is seen through."""
    return [chain_of(row) for row in await repository.newest_of_each(transaction)]


async def list_chains(database: Database, *, enabled_only: bool, page: Page) -> Sequence[Row]:
    """A page of the registry by chain id."""
    async with database.begin() as transaction:
        return await repository.listed(transaction, enabled_only=enabled_only, page=page)


async def get_chain(database: Database, identifier: str) -> Row:
    """An enabled chain's row; 404 when unknown or disabled."""
    async with database.begin() as transaction:
        chain = await find_chain(transaction, identifier)
        if chain is None or not chain.is_enabled:
            raise not_found("Chain not found")
        row = await repository.newest_by_chain_id(transaction, chain.chain_id)
    if row is None or row["deleted_at"] is not None or not row["is_enabled"]:
        raise not_found("Chain not found")
    return row


async def create_chain(database: Database, caller: Caller, values: Mapping[str, Any]) -> Row:
    """Register a chain; 400 for a name that means another chain, 409 for a name or id in use."""
    if values["name"] in ALIASES:
        raise bad_request(f"{values['name']} is an alias of {ALIASES[values['name']]}; choose another name")
    try:
        async with database.begin() as transaction:
            # registered anew, it is the same chain, and what was signed for it may still be valid
            before = await repository.newest_by_chain_id(transaction, values["chain_id"])
            known = {"genesis_hash": before["genesis_hash"] if before else None}
            row = await repository.create(transaction, {"id": uuid4(), **values, **known})
            await write_for(
                transaction, caller, "chain.create", "chain", row["id"], name=row["name"], chain_id=row["chain_id"]
            )
    except IntegrityError as error:
        if "uq_chains" in str(error.orig):
            raise conflict("A chain with this name or chain_id exists already") from None
        raise
    return row


async def update_chain(database: Database, caller: Caller, row_id: UUID, values: Mapping[str, Any]) -> Row:
    """Change a chain; 404 when unknown. The audit says which fields changed, never an endpoint's address."""
    async with database.begin() as transaction:
        row = await repository.change(transaction, row_id, values)
        if row is None:
            raise not_found("Chain not found")
        await write_for(transaction, caller, "chain.update", "chain", row_id, name=row["name"], fields=sorted(values))
    return row


async def delete_chain(database: Database, caller: Caller, row_id: UUID) -> None:
    """Remove a chain from the registry; 404 when unknown. Transactions already signed on it are seen through."""
    async with database.begin() as transaction:
        row = await repository.remove(transaction, row_id)
        if row is None:
            raise not_found("Chain not found")
        await write_for(
            transaction, caller, "chain.delete", "chain", row_id, name=row["name"], chain_id=row["chain_id"]
        )


def chain_of(row: Row) -> Chain:
    """A row as the value that the rest of Talon works with."""
    return Chain(
        id=row["id"],
        name=row["name"],
        display_name=row["display_name"],
        chain_id=row["chain_id"],
        native_currency=row["native_currency"],
        is_testnet=row["is_testnet"],
        is_enabled=row["is_enabled"] and row["deleted_at"] is None,
        rpc_url=row["rpc_url"],
        ws_url=row["ws_url"],
        explorer_url=row["explorer_url"],
        max_gas_cost_wei=row["max_gas_cost_wei"],
        confirmations=row["confirmations"],
        max_tx_gas=row["max_tx_gas"],
        genesis_hash=None if row["genesis_hash"] is None else bytes(row["genesis_hash"]),
    )


async def _candidates(transaction: Transaction, identifiers: Sequence[str | int]) -> list[Chain]:
    """The few rows among which `chains.registry.resolve` decides; it alone knows what an identifier means."""
    names: list[str] = []
    chain_ids: list[int] = []
    for identifier in identifiers:
        name = str(identifier).lower()
        names += [name, ALIASES.get(name, name)]
        if name.isascii() and name.isdecimal() and len(name) <= 20 and int(name) <= MAX_CHAIN_ID:
            chain_ids.append(int(name))
    return [chain_of(row) for row in await repository.by_names_or_ids(transaction, names, chain_ids)]


def _columns(chain: Chain) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "name": chain.name,
        "display_name": chain.display_name,
        "chain_id": chain.chain_id,
        "native_currency": chain.native_currency,
        "is_testnet": chain.is_testnet,
        "is_enabled": chain.is_enabled,
        "rpc_url": chain.rpc_url,
        "ws_url": chain.ws_url,
        "explorer_url": chain.explorer_url,
        "max_gas_cost_wei": chain.max_gas_cost_wei,
        "confirmations": chain.confirmations,
        "max_tx_gas": chain.max_tx_gas,
    }
