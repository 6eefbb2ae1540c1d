"""/v1/wallets: people look at a wallet's nonces, and take it back to the chain's count."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from chains.addresses import parse_address
from chains.chain import Chain
from intents import wallet_view
from intents.engine import Engine, engine_of
from intents.outside.human import open_wallet
from intents.resync import resync
from intents.wallet_replies import OpenRequest, ResyncReply, ResyncRequest, WalletReply
from vault.auth.dependencies import OrgAdmin
from vault.context import Context, context_of
from vault.errors import not_found
from vault.networks.service import find_chain
from vault.restores.schemas import RESTORED

router = APIRouter(prefix="/v1/wallets", tags=["Wallets"])

ContextDep = Annotated[Context, Depends(context_of)]
EngineDep = Annotated[Engine, Depends(engine_of)]
Address = Annotated[str, Path(max_length=64, examples=["0x70997970C51812dc3A010C7d01b50e0d17dc79C8"])]


async def chain_named(chain: Annotated[str, Path(max_length=64)], _: OrgAdmin, context: ContextDep) -> Chain:
    """The chain of a name, alias or id, disabled ones too: what was signed there is seen through."""
    async with context.database.statements() as connection:
        found = await find_chain(connection, chain)
    if found is None:
        raise not_found("Chain not found")
    return found


ChainDep = Annotated[Chain, Depends(chain_named)]


@router.get("/{chain}/{address}")
async def get_wallet(chain: ChainDep, address: Address, caller: OrgAdmin, context: ContextDep) -> WalletReply:
    """The nonces of a wallet whose key the organisation holds: here, on the chain, and in between."""
    account = parse_address(address)
    async with context.database.statements() as connection:
        await wallet_view.require_key(connection, caller.org_id, account)
    said = await wallet_view.endpoints(context, chain, account)
    async with context.database.statements() as connection:
        return WalletReply(**await wallet_view.show(connection, caller.org_id, chain, account, said))


@router.post("/{chain}/{address}/resync", responses=RESTORED)
async def resync_wallet(
    chain: ChainDep,
    address: Address,
    caller: OrgAdmin,
    context: ContextDep,
    engine: EngineDep,
    body: ResyncRequest | None = None,
) -> ResyncReply:
    """Go back to the first nonce that neither the chain nor an unbroken row of open transactions has used.

    What was signed above is given up, its spend freed only if the body says so. What waits in that row stays: give
    it up by itself.
    """
    account = parse_address(address)
    return ResyncReply(**await resync(context, engine, caller, chain, account, body or ResyncRequest()))


@router.post("/{chain}/{address}/open", responses=RESTORED)
async def open_stopped_wallet(
    chain: ChainDep, address: Address, caller: OrgAdmin, context: ContextDep, body: OpenRequest
) -> WalletReply:
    """Let a stopped wallet sign again: its chain counts what somebody else signed, and its people know of it."""
    return WalletReply(**await open_wallet(context, caller, chain, parse_address(address), body.mined))
