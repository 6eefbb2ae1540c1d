"""Follow every transaction to its final block: re-send, receipts, reorganisations, settlement.

One wallet at a time, from the chain's nonce upwards. Everything is found again in PostgreSQL and on the chain at
every pass, so that it does not matter who died when; rows change only by conditional updates.
"""

import logging
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from chains.chain import Chain
from chains.errors import RpcError, RpcRefused
from chains.rpc import ChainClient
from intents import broadcast, settle
from intents.status import Status
from vault.context import Context
from vault.networks.service import load_chain

log = logging.getLogger(__name__)

# Rows this young belong to the API process that is sending them
HANDS_OFF_S = 4
# How long a node is given to lose our bytes before we ask whether it still has them
RESEND_AFTER_S = 10
MAX_WALLETS = 200
MAX_ROWS = 200

_WALLETS = text("""
    SELECT w.chain_id, w.address FROM wallets w
    WHERE EXISTS (SELECT 1 FROM transactions t WHERE t.chain_id = w.chain_id
                  AND t.wallet_address = w.address AND t.final_at IS NULL)
    ORDER BY w.reconciled_at NULLS FIRST LIMIT :max_wallets
""")

_TOUCH = text("""
    UPDATE wallets SET reconciled_at = clock_timestamp() WHERE chain_id = :chain_id AND address = :address
""")

_OPEN = text("""
    SELECT t.id, t.agent_id, t.nonce, t.status, t.given_up_at, t.block_hash,
           a.id AS attempt_id, a.kind, a.raw, a.tx_hash,
           a.sent_at IS NOT NULL AS sent,
           a.tried_at < clock_timestamp() - make_interval(secs => :hands_off_s) AS ours,
           a.tried_at < clock_timestamp() - make_interval(secs => :resend_after_s) AS stale
    FROM (SELECT * FROM transactions
          WHERE chain_id = :chain_id AND wallet_address = :address AND final_at IS NULL
          ORDER BY nonce LIMIT :max_rows) t
    JOIN attempts a ON a.transaction_id = t.id
    ORDER BY t.nonce, a.created_at
""")


@dataclass(frozen=True)
class Head:
    """What the chain says about a wallet, from one endpoint at one moment."""

    mined_nonce: int
    final_nonce: int
    final_block: int


@dataclass(frozen=True)
class Entry:
    """An open transaction with every byte string that was signed for its nonce."""

    id: UUID
    agent_id: UUID
    nonce: int
    status: Status
    given_up: bool
    block_hash: bytes | None
    attempts: tuple[Any, ...]

    @property
    def to_send(self) -> Any:
        """The attempt that should be mined: the filler, once the transaction is given up."""
        fillers = [attempt for attempt in self.attempts if attempt.kind == "filler"]
        return fillers[-1] if fillers else self.attempts[0]


async def reconcile(context: Context) -> int:
    """One pass over the wallets with open transactions, at most `MAX_WALLETS`; returns how many were looked at."""
    async with context.database.begin() as connection:
        wallets = list(await connection.execute(_WALLETS, {"max_wallets": MAX_WALLETS}))
        # disabled and removed chains too: what was signed is seen through
        chains = {chain_id: await load_chain(connection, chain_id) for chain_id in {row[0] for row in wallets}}
    for chain_id, address in wallets:
        chain = chains[chain_id]
        try:
            if chain is not None:
                await reconcile_wallet(context, chain, bytes(address))
        except RpcError as error:
            # an unreachable chain stops nobody else; its wallets are looked at again on the next pass
            log.warning("chain %s: %s", chain.name if chain else chain_id, error)
        async with context.database.begin() as connection:
            await connection.execute(_TOUCH, {"chain_id": chain_id, "address": address})
    return len(wallets)


async def reconcile_wallet(context: Context, chain: Chain, address: bytes) -> None:
    """Bring one wallet's open transactions in line with the chain."""
    client = context.chains.for_chain(chain)
    now = await head(client, chain, address)
    await settle.reopen_lost(context.database, chain.chain_id, address, now.mined_nonce)
    entries = await open_entries(context, chain.chain_id, address)
    await follow(context, client, now, [entry for entry in entries if entry.nonce < now.mined_nonce])
    await resend(
        context,
        client,
        [e for e in entries if e.nonce >= now.mined_nonce and e.status is not Status.SIGN_ONLY],
    )


async def head(client: ChainClient, chain: Chain, address: bytes) -> Head:
    """Nonce and finality of a wallet: two batches, the second pinned to the final block."""
    wallet = f"0x{address.hex()}"
    mined, latest, finalized = await client.batch(
        [
            ("eth_getTransactionCount", [wallet, "latest"]),
            ("eth_blockNumber", []),
            ("eth_getBlockByNumber", ["finalized", False]),
        ]
    )
    newest = number(latest)
    final_block = max(newest - chain.confirmations, 0)
    if isinstance(finalized, dict) and number(finalized["number"]) > 0:
        final_block = number(finalized["number"])
    final_nonce = number(await client.call("eth_getTransactionCount", [wallet, hex(final_block)]))
    return Head(number(mined), final_nonce, final_block)


async def open_entries(context: Context, chain_id: int, address: bytes) -> list[Entry]:
    """The wallet's transactions that are not final, lowest nonces first."""
    async with context.database.begin() as connection:
        rows = list(
            await connection.execute(
                _OPEN,
                {
                    "chain_id": chain_id,
                    "address": address,
                    "hands_off_s": HANDS_OFF_S,
                    "resend_after_s": RESEND_AFTER_S,
                    "max_rows": MAX_ROWS,
                },
            )
        )
    grouped: dict[UUID, list[Any]] = defaultdict(list)
    for row in rows:
        grouped[row.id].append(row)
    return [
        Entry(
            id=attempts[0].id,
            agent_id=attempts[0].agent_id,
            nonce=attempts[0].nonce,
            status=Status(attempts[0].status),
            given_up=attempts[0].given_up_at is not None,
            block_hash=None if attempts[0].block_hash is None else bytes(attempts[0].block_hash),
            attempts=tuple(attempts),
        )
        for attempts in grouped.values()
    ]


async def follow(context: Context, client: ChainClient, now: Head, entries: list[Entry]) -> None:
    """Transactions whose nonce the chain has used: by which bytes, in which block, for good?"""
    if not entries:
        return
    asked = [(entry, attempt) for entry in entries for attempt in entry.attempts]
    answers = await client.batch(
        [("eth_getTransactionReceipt", [f"0x{bytes(attempt.tx_hash).hex()}"]) for _, attempt in asked]
    )
    receipts: dict[UUID, tuple[Any, dict[str, Any]]] = {}
    unsure: set[UUID] = set()
    for (entry, attempt), answer in zip(asked, answers, strict=True):
        if isinstance(answer, RpcRefused):
            unsure.add(entry.id)
        elif answer is not None and answer.get("blockNumber") is not None:
            receipts[entry.id] = (attempt, answer)
    for entry in entries:
        if entry.id in receipts:
            attempt, receipt = receipts[entry.id]
            await _found(context, client, now, entry, attempt, receipt)
        elif entry.id not in unsure:
            await _not_found(context, now, entry)


async def _found(
    context: Context, client: ChainClient, now: Head, entry: Entry, attempt: Any, receipt: dict[str, Any]
) -> None:
    block_hash = bytes.fromhex(receipt["blockHash"][2:])
    final = number(receipt["blockNumber"]) <= now.final_block
    if attempt.kind == "filler":
        if final:
            await settle.fail(
                context.database,
                entry.agent_id,
                entry.id,
                f"Given up: nonce {entry.nonce} was settled by the filler {receipt['transactionHash']}.",
            )
        return
    if entry.block_hash != block_hash:
        block = await client.call("eth_getBlockByHash", [receipt["blockHash"], False])
        if block is None:  # reorganised away between two questions; the next pass sees where it went
            return
        mined = settle.Mined(
            block_number=number(receipt["blockNumber"]),
            block_hash=block_hash,
            block_at=datetime.fromtimestamp(number(block["timestamp"]), UTC),
            gas_used=number(receipt["gasUsed"]),
            effective_gas_price=number(receipt.get("effectiveGasPrice", "0x0")),
            succeeded=number(receipt.get("status", "0x1")) == 1,
        )
        await settle.mined(context.database, entry.id, mined)
    if final:
        await settle.final(context.database, entry.id)


async def _not_found(context: Context, now: Head, entry: Entry) -> None:
    if entry.nonce < now.final_nonce:
        # The proof that our bytes can never be mined: the nonce is used in a final block, and not by them.
        await settle.fail(
            context.database,
            entry.agent_id,
            entry.id,
            f"Nonce {entry.nonce} was used by another transaction; this one can no longer be mined.",
        )
    elif entry.block_hash is not None:
        await settle.unmine(context.database, entry.agent_id, entry.id)


async def resend(context: Context, client: ChainClient, entries: list[Entry]) -> None:
    """Send again, in nonce order, what no node took, and what the node has lost since."""
    waiting = [entry.to_send for entry in entries]
    lost = await _lost(client, [each for each in waiting if each.sent and each.stale])
    for attempt in waiting:
        if not attempt.ours or (attempt.sent and attempt.attempt_id not in lost):
            continue
        result = await client.send_raw(bytes(attempt.raw))
        if attempt.kind == "filler":
            await broadcast.record_sent(context.database, attempt.attempt_id, result)
        else:
            await broadcast.record(context.database, attempt.id, attempt.attempt_id, result)


async def _lost(client: ChainClient, attempts: list[Any]) -> set[UUID]:
    if not attempts:
        return set()
    answers = await client.batch(
        [("eth_getTransactionByHash", [f"0x{bytes(each.tx_hash).hex()}"]) for each in attempts]
    )
    return {each.attempt_id for each, answer in zip(attempts, answers, strict=True) if answer is None}


def number(value: Any) -> int:
    """A JSON-RPC quantity; raises the node's refusal if that came instead."""
    if isinstance(value, RpcRefused):
        raise value
    return int(value, 16)
