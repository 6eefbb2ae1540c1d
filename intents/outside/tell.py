"""Mail to a wallet's owners and admins: it is stopped, or its key is used elsewhere (once a day at most)."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.addresses import format_address
from intents.outside.people import holders, mails_of
from vault.auth.outbox import post
from vault.context import Context
from vault.networks.service import load_chain

MAX_AT_ONCE: Final = 20

_STOPPED = text("SELECT count(*) FROM wallets WHERE stopped_at IS NOT NULL")
_DUE = text("""
    SELECT chain_id, address, stopped_at, stopped_why, accounted_to FROM wallets
    WHERE (stopped_at IS NOT NULL OR drifted_at IS NOT NULL)
      AND (stopped_at IS NOT NULL AND (told_at IS NULL OR told_at < stopped_at)
           OR drifted_at IS NOT NULL AND (told_at IS NULL OR told_at < drifted_at - interval '24 hours'))
    ORDER BY chain_id, address LIMIT :most
""")
# whoever is first tells them; what is not told after all, because the signer is away, is tried again
_TOLD = text("""
    UPDATE wallets SET told_at = clock_timestamp() WHERE chain_id = :chain_id AND address = :address
      AND (stopped_at IS NOT NULL AND (told_at IS NULL OR told_at < stopped_at)
           OR drifted_at IS NOT NULL AND (told_at IS NULL OR told_at < drifted_at - interval '24 hours'))
""")


async def tell(context: Context) -> None:
    """Write the mails that are due."""
    async with context.database.statements() as connection:
        due = list(await connection.execute(_DUE, {"most": MAX_AT_ONCE}))
    for row in due:
        await _tell(context, row)


async def note(connection: AsyncConnection) -> Sequence[str]:
    """For health: how many wallets wait for their people."""
    stopped = int((await connection.execute(_STOPPED)).scalar_one())
    return [f"Wallets that are stopped until their people open them: {stopped}."] if stopped else []


async def _tell(context: Context, row: Any) -> None:
    address = bytes(row.address)
    async with context.database.begin() as connection:
        chain = await load_chain(connection, row.chain_id)
        people = await mails_of(connection, await holders(connection, address))
        name = chain.name if chain is not None else str(row.chain_id)
        subject, body = _words(context.options.public_url, name, format_address(address), row)
        for each in people:
            await post(context, connection, to=each, subject=subject, text=body)
        # last: whoever signs with the wallet waits for this row no longer than for the commit
        await connection.execute(_TOLD, {"chain_id": row.chain_id, "address": address})


def _words(public_url: str, chain: str, address: str, row: Any) -> tuple[str, str]:
    if row.stopped_at is not None:
        return (
            f"A wallet is stopped: {address} on {chain}",
            f"""Talon signs nothing more with wallet {address} on {chain}.

{row.stopped_why}

If you cannot say who used it, move what it holds to a new key, from a machine that you trust.
If you can, open it again: see GET {public_url}/v1/wallets/{chain}/{address} and POST .../open
(an imported key also by POST .../resync).
""",
        )
    return (
        f"A wallet is used elsewhere: {address} on {chain}",
        f"""{chain} counts transactions of wallet {address} that Talon did not sign.

Its key was imported, so this is ordinary if you use it elsewhere, too. If you do not, somebody else has it: move
what it holds to a new key. You are told at most once a day.
""",
    )
