"""Open a stopped wallet on a human's word: whoever used its key, they have seen what its chain counts."""

from typing import Any

from chains.addresses import format_address
from chains.chain import Chain
from intents import wallet_view, wallets
from intents.outside import accounts
from vault.audit.write import write_for
from vault.auth.again import still_admin
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import conflict, unavailable
from vault.restores import gate as restored


async def open_wallet(context: Context, caller: Caller, chain: Chain, address: bytes, mined: int) -> dict[str, Any]:
    """Account for all nonces below `mined`, which has to be the highest count that an endpoint names now.

    Returns the fields of a `WalletReply`; 404 without the key, 409 for another count, 503 when nobody names one.
    """
    async with context.database.statements() as connection:
        await wallet_view.require_key(connection, caller.org_id, address)
    said = await wallet_view.endpoints(context, chain, address)
    counted = max((each.mined for each in said if each is not None), default=None)
    if counted is None:
        raise unavailable(f"No endpoint of {chain.name} names the wallet's nonces now; nothing was changed.")
    if counted != mined:
        raise conflict(
            f"{chain.name} counts {counted} transactions of this wallet, not {mined}; nothing was changed."
        )
    async with context.database.begin() as connection:
        tracker = await wallets.lock(connection, chain.chain_id, address)
        await still_admin(connection, caller)
        # what the lost part sent is listed first: by this it would be accounted for, and count in no window
        await restored.require_open(connection, binding=True)
        await accounts.lift(connection, chain.chain_id, address, mined, also_born=True)
        await write_for(
            connection,
            caller,
            "wallet.open",
            "wallet",
            f"{chain.chain_id}:{format_address(address)}",
            chain=chain.name,
            mined=mined,
            reason=tracker.stopped_why,
        )
    async with context.database.statements() as connection:
        return await wallet_view.show(connection, caller.org_id, chain, address, said)
