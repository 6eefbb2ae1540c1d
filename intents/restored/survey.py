"""Which wallets of a chain have transactions that this copy may not know: every account of every key is asked about.

Also of keys that this copy never used there: their first payment may have come after it was made.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import text

from chains.chain import Chain
from chains.errors import NoEndpoint, RpcError
from chains.hexdata import format_data
from chains.nonces import Counts
from chains.quantities import COUNT_BITS, quantity
from chains.quote import pending_count
from chains.rpc import ChainClient
from chains.sent import block_time
from chains.sent_search import block_before
from intents.outside import accounts
from intents.outside.ask import ANSWER_S, AT_ONCE
from intents.status import IN_FLIGHT
from vault.context import Context

log = logging.getLogger(__name__)

# what is older leaves the window soon enough, and of a key from outside it is nobody's business
DAY: Final = timedelta(hours=24)

_ACCOUNTS = text("""
    SELECT address FROM (
        SELECT address FROM wallets WHERE chain_id = :chain_id
        UNION SELECT address FROM secret_versions WHERE :all_keys AND address IS NOT NULL AND key_id IS NOT NULL
    ) found WHERE address > :after ORDER BY address LIMIT :most
""")
_LOWEST = text("""
    SELECT LEAST(
        (SELECT min(nonce) FROM transactions WHERE chain_id = :chain_id AND wallet_address = :address
         AND final_at IS NULL AND chain_reset_at IS NULL AND status = ANY(:open)),
        (SELECT next_nonce FROM wallets WHERE chain_id = :chain_id AND address = :address),
        CAST(:unsigned AS bigint))
""")
_KEEP = text("""
    INSERT INTO restored_wallets (restore_id, chain_id, address, low, agreed, mined, high)
    VALUES (:restore_id, :chain_id, :address, :low, :agreed, :mined, :high) ON CONFLICT DO NOTHING
""")
_ASKED = text("""
    UPDATE restored_chains SET asked_at = clock_timestamp() WHERE restore_id = :restore_id AND chain_id = :chain_id
""")


@dataclass(frozen=True)
class Standing:
    """An account by the word of its chain's endpoints: the lowest count that one names, and the highest of any."""

    address: bytes
    agreed: int
    mined: int
    high: int


async def survey(context: Context, restore_id: UUID, chain: Chain, *, all_keys: bool) -> bool:
    """Write down every wallet of the chain that has something to look for; False where no endpoint answers."""
    after = b""
    day_old = _DayOld(context, chain)
    while True:
        async with context.database.statements() as connection:
            named = {"chain_id": chain.chain_id, "after": after, "most": AT_ONCE, "all_keys": all_keys}
            addresses = [bytes(each) for each in (await connection.execute(_ACCOUNTS, named)).scalars()]
        if addresses and not await _page(context, restore_id, chain, addresses, day_old):
            return False
        if len(addresses) < AT_ONCE:
            break
        after = addresses[-1]
    async with context.database.statements() as connection:
        await connection.execute(_ASKED, {"restore_id": restore_id, "chain_id": chain.chain_id})
    return True


async def _page(
    context: Context, restore_id: UUID, chain: Chain, addresses: Sequence[bytes], day_old: "_DayOld"
) -> bool:
    standing = await _standing(context, chain, addresses)
    if len(standing) < len(addresses):
        return False
    async with context.database.statements() as connection:
        _, known = await accounts.read(connection, chain.chain_id, addresses)
    for each in standing:
        account = known[each.address]
        unsigned = account.unsigned
        if account.accounted_to is None and not account.is_born:
            # this copy never used it here: what it did before the last day is history
            unsigned = await day_old.count_of(each.address)
        async with context.database.statements() as connection:
            named = {"chain_id": chain.chain_id, "address": each.address}
            low = (
                await connection.execute(_LOWEST, named | {"unsigned": unsigned, "open": [*IN_FLIGHT, "mined"]})
            ).scalar_one()
            if account.accounted_to is None and not account.is_born:
                low = unsigned
            if each.high > low:
                await connection.execute(
                    _KEEP,
                    named
                    | {
                        "restore_id": restore_id,
                        "low": low,
                        "agreed": each.agreed,
                        "mined": each.mined,
                        "high": each.high,
                    },
                )
    return True


async def _standing(context: Context, chain: Chain, addresses: Sequence[bytes]) -> list[Standing]:
    """The accounts of which an endpoint says anything."""
    try:
        endpoints = context.chains.for_chain(chain).each()
    except NoEndpoint:
        return []
    said: dict[bytes, list[Counts]] = {}
    for words in await asyncio.gather(*(_ask(each, addresses) for each in endpoints)):
        for address, named in words.items():
            said.setdefault(address, []).append(named)
    return [
        Standing(
            address,
            min(each.mined for each in words),
            max(each.mined for each in words),
            max(each.next for each in words),
        )
        for address, words in said.items()
    ]


async def _ask(endpoint: ChainClient, addresses: Sequence[bytes]) -> dict[bytes, Counts]:
    requests = [
        ("eth_getTransactionCount", [format_data(each), tag]) for each in addresses for tag in ("latest", "pending")
    ]
    try:
        async with asyncio.timeout(2 * ANSWER_S):
            answers = await endpoint.batch(requests)
        return {
            address: Counts(quantity(mined, COUNT_BITS), pending_count(pending, mined))
            for address, mined, pending in zip(addresses, answers[::2], answers[1::2], strict=True)
        }
    except (RpcError, TimeoutError) as error:
        log.info("an endpoint does not say the counts of its accounts: %s", error)
        return {}


async def day_ago(client: ChainClient) -> datetime:
    """A day ago, and a day before the chain's newest block: a clock that is ahead hides nothing that it shows."""
    newest = await client.call("eth_getBlockByNumber", ["latest", False])
    now = datetime.now(UTC)
    at = block_time(newest) if isinstance(newest, dict) else None
    return min(now, at or now) - DAY


class _DayOld:
    """Counts of accounts a day ago, where an endpoint still has that state; else 0: all of it may be new."""

    def __init__(self, context: Context, chain: Chain) -> None:
        self._context, self._chain = context, chain
        self._block: tuple[ChainClient, int | None] | None = None

    async def count_of(self, address: bytes) -> int:
        try:
            if self._block is None:
                client = self._context.chains.for_chain(self._chain)
                self._block = client, await block_before(client, await day_ago(client))
            client, block = self._block
            if block is None:
                return 0
            return quantity(
                await client.call("eth_getTransactionCount", [format_data(address), hex(block)]), COUNT_BITS
            )
        except RpcError:
            return 0
