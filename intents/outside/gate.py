"""What keeps a wallet from signing: its chain was not asked since the start, or a human has to look at it."""

from typing import Final

from chains.ahead import Verdict
from chains.chain import Chain
from chains.errors import RpcError
from chains.hexdata import format_data
from chains.quantities import COUNT_BITS, quantity
from chains.refusals import without_addresses
from intents.outside import accounts
from intents.outside.accounts import Account
from intents.outside.ask import Found
from intents.outside.compare import compare_all, compare_one, is_asked
from intents.wallets import Tracker
from vault.context import Context
from vault.errors import Problem, unavailable
from vault.metrics import counts
from vault.restores import gate as restored
from vault.schemas import format_time

_AGAIN_S: Final = 10


async def require_compared(context: Context, chain: Chain, address: bytes) -> Account | None:
    """The wallet once its chain has been asked since the start; None where nobody is asked.

    503 where the chain does not answer, or its endpoints contradict each other, or the answer froze the instance;
    409 `wallet_stopped` for one that a human has to open.
    """
    if not is_asked(context, chain.chain_id):
        return None
    account, all_compared = await _read(context, chain, address)
    if account.stopped_at is None and not (all_compared and account.is_compared):
        await compare_all(context)
        # nothing can be lost of a wallet that was never used here
        found = await compare_one(context, chain, address, prove=True, hurry=not account.is_known)
        async with context.database.statements() as connection:
            await restored.require_open(connection)
        account, all_compared = await _read(context, chain, address)
        if account.stopped_at is None and not (all_compared and account.is_compared):
            raise _not_compared(chain, found, await _why_silent(context, chain, address))
    if account.stopped_at is not None:
        raise stopped(chain, account)
    return account


async def require_within(context: Context, chain: Chain, account: Account | None, mined: int) -> None:
    """409, as above, where the chain names `mined` by now and that is more than we signed with a key born here.

    A key from outside goes along with its chain: what somebody else did with it, its people are told by the worker.
    """
    if account is None or not account.is_born or mined <= account.unsigned:
        return
    await compare_one(context, chain, account.address, prove=False)
    account, _ = await _read(context, chain, account.address)
    if account.stopped_at is not None:
        raise stopped(chain, account)


def require_still(context: Context, chain: Chain, address: bytes, tracker: Tracker) -> None:
    """The same, binding: under the wallet's lock."""
    if not is_asked(context, chain.chain_id):
        return
    if tracker.stopped_at is not None:
        raise _stopped(chain, address, tracker.stopped_why, format_time(tracker.stopped_at))
    if not tracker.compared:
        raise _not_compared(chain, None, None)


async def _read(context: Context, chain: Chain, address: bytes) -> tuple[Account, bool]:
    async with context.database.statements() as connection:
        start, known = await accounts.read(connection, chain.chain_id, [address])
    return known[address], start.is_compared


async def _why_silent(context: Context, chain: Chain, address: bytes) -> str | None:
    try:
        client = context.chains.for_chain(chain)
        await client.verify_chain()
        quantity(await client.call("eth_getTransactionCount", [format_data(address), "latest"]), COUNT_BITS)
    except RpcError as error:
        return without_addresses(str(error))
    return None


def _not_compared(chain: Chain, found: Found | None, silent: str | None) -> Problem:
    if found is not None and found.verdict is Verdict.DISPUTED:
        path = f"/v1/wallets/{chain.name}/{format_data(found.account.address)}"
        return unavailable(
            f"The endpoints of {chain.name} name {' and '.join(map(str, found.said))} mined transactions of this"
            f" wallet, where {found.account.unsigned} were signed here, and none shows the others: nothing was"
            " signed. It goes on once they agree, or an owner or admin of the organisation opens it"
            f" (POST {path}/open).",
            retry_after_s=_AGAIN_S,
        )
    return unavailable(
        f"{chain.name} has not been asked about this wallet since the start{'' if silent is None else f': {silent}'};"
        " nothing was signed, try again.",
        retry_after_s=_AGAIN_S,
    )


def stopped(chain: Chain, account: Account) -> Problem:
    """The 409 of a wallet that waits for its human."""
    assert account.stopped_at is not None
    return _stopped(chain, account.address, account.stopped_why, format_time(account.stopped_at))


def _stopped(chain: Chain, address: bytes, why: str | None, at: str) -> Problem:
    counts.denied("wallet", "stopped")
    return Problem(
        409,
        f"This wallet is stopped: {why} Nothing was signed. An owner or admin of the organisation looks at it"
        f" (GET /v1/wallets/{chain.name}/{format_data(address)}) and opens it.",
        type="wallet_stopped",
        title="Wallet Stopped",
        extra={"stopped_at": at},
    )
