"""A nonce that something else than our transaction has used: `failed` once that is proven, and told until then."""

from sqlalchemy import text

from chains.chain import Chain
from chains.rpc import ChainClient
from intents import settle
from intents.entries import Entry
from intents.proof import Claim, Settled, Unproven, Where, prove
from intents.searches import Searches
from vault.context import Context

_OUR_FINAL = text("""
    SELECT tx_hash, block_number, block_hash FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND nonce = :nonce AND id <> :id
      AND final_at IS NOT NULL AND block_number IS NOT NULL AND chain_reset_at IS NULL
""")


async def settle_otherwise(
    context: Context,
    chain: Chain,
    client: ChainClient,
    address: bytes,
    entry: Entry,
    searches: Searches,
    filler: Where | None = None,
) -> None:
    """Call the entry failed if every endpoint bears out that its nonce is used up; `filler`: by this one of ours."""
    seen = filler or await _other_of_ours(context, chain, address, entry)
    own = frozenset(bytes(attempt.tx_hash) for attempt in entry.attempts if attempt.kind != "filler")
    searches.in_vain(entry.id)  # whatever comes of it
    verdict = await prove(client, chain, Claim(address, entry.nonce, own), seen)
    if isinstance(verdict, Unproven):
        if verdict.why:
            message = (
                f"Nonce {entry.nonce} is used up on the chain, but not known by what: {verdict.why}. Talon goes on"
                " asking; until it is proven that this transaction can no longer be mined, it counts."
            )
            await settle.explain(context.database, entry.id, message)
        return
    await settle.fail(context.database, entry.agent_id, entry.id, _reason(entry, verdict))
    searches.forget(entry.id)


async def _other_of_ours(context: Context, chain: Chain, address: bytes, entry: Entry) -> Where | None:
    """Another of ours with the nonce, whose receipt we saw in a final block."""
    named = {"chain_id": chain.chain_id, "address": address, "nonce": entry.nonce, "id": entry.id}
    async with context.database.statements() as connection:
        row = (await connection.execute(_OUR_FINAL, named)).first()
    return None if row is None else Where(bytes(row.tx_hash), row.block_number, bytes(row.block_hash))


def _reason(entry: Entry, proven: Settled) -> str:
    fillers = {bytes(attempt.tx_hash) for attempt in entry.attempts if attempt.kind == "filler"}
    if proven.user is None:
        return (
            f"Nonce {entry.nonce} was used up in block {proven.block_number} by something that is no ordinary"
            " transaction of this wallet (an authorisation, a deposit, a system transaction); this transaction can no"
            " longer be mined."
        )
    if proven.user in fillers:
        return f"Given up: nonce {entry.nonce} was settled by the filler 0x{proven.user.hex()}."
    return f"Nonce {entry.nonce} was used by 0x{proven.user.hex()}; this transaction can no longer be mined."
