"""POST /v1/admin/chains/{id}/reset: the platform's admin says that a chain was reset under its old id."""

import asyncio
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from chains.chain import Chain
from chains.errors import RpcError, WrongGenesis
from chains.rpc import ChainClient
from intents import witness
from intents.reset import reset, signed
from vault.auth.dependencies import PlatformAdmin
from vault.context import Context, context_of
from vault.errors import Problem, conflict, not_found, unavailable
from vault.networks import repository
from vault.networks.service import chain_of
from vault.problem_replies import ProblemDetails, or_problem
from vault.schemas import Reply
from vault.secrets.confirm import mistaken

router = APIRouter(prefix="/v1/admin/chains", tags=["Chains"])

ContextDep = Annotated[Context, Depends(context_of)]


class ResetToBeConfirmed(ProblemDetails):
    """Transactions were signed on the chain as it is known: repeat it with `?confirm=` and the new first block."""

    type: Literal["confirmation_required"]
    confirm: str
    final_transactions: int
    open_transactions: int


class ResetReply(Reply):
    """The chain that is there now, and how much belonged to the one before."""

    chain_id: int
    genesis_hash: str
    transactions: int
    wallets: int


@router.post(
    "/{chain_id}/reset", responses={409: or_problem(ResetToBeConfirmed, "Not reset, or to be confirmed first")}
)
async def reset_chain(
    chain_id: UUID,
    caller: PlatformAdmin,
    context: ContextDep,
    confirm: Annotated[str | None, Query(max_length=66)] = None,
) -> ResetReply:
    """Go over to the chain that the endpoints serve now; `confirm` is its first block where anything was signed."""
    async with context.database.statements() as connection:
        row = await repository.load(connection, chain_id)
        if row is None:
            raise not_found("Chain not found")
        chain = chain_of(row)
        last_final = await witness.of_chain(connection, chain.chain_id)
    found, gone = await _new_genesis(context, chain, last_final)
    named = f"0x{found.hex()}"
    async with context.database.begin() as connection:
        final, waiting = await signed(connection, chain.chain_id)
        if (final or waiting) and confirm != named:
            raise Problem(
                409,
                f"{final} transactions are final and {waiting} not yet on {chain.name} as it is known. If that is"
                f" gone for good, and the one that begins with block {named} took its place, repeat this with"
                f" ?confirm={named}. {mistaken(confirm, named)}".rstrip(),
                type="confirmation_required",
                extra={"confirm": named, "final_transactions": final, "open_transactions": waiting},
            )
        done = await reset(connection, chain, found, caller, gone)
    if done is None:
        raise conflict("Somebody else has said that this chain was reset, just now.")
    return ResetReply(
        chain_id=chain.chain_id, genesis_hash=named, transactions=done.transactions, wallets=done.wallets
    )


async def _new_genesis(context: Context, chain: Chain, last_final: bytes | None) -> tuple[bytes, bytes | None]:
    """The one first block of the new chain that endpoints of this id name; 409 where they differ or none is new.

    With it comes `last_final`, the last final block of ours, where that alone shows that the chain is another one.
    """
    if chain.genesis_hash is None:
        raise conflict(
            f"No endpoint of {chain.name} has named its first block yet: there is nothing to go over from."
        )
    client = context.chains.for_chain(chain)
    said = await asyncio.gather(*(_first_block(each) for each in client.each()))
    served = {genesis_hash for is_known, genesis_hash in said if is_known and genesis_hash is not None}
    others = {genesis_hash for is_known, genesis_hash in said if not is_known and genesis_hash is not None}
    if served and not others and last_final is not None and await witness.is_gone(client, last_final):
        return served.pop(), last_final  # geth in developer mode begins with the same block every time
    if served:
        raise conflict(
            f"An endpoint of {chain.name} still serves the chain that is known: it was not reset."
            + (" Leave only endpoints of one chain." if others else "")
        )
    if not others:
        raise unavailable(f"No endpoint of {chain.name} names its first block now; nothing was changed.")
    if len(others) > 1:
        raise conflict(f"The endpoints of {chain.name} serve different chains; leave only those of one.")
    return others.pop(), None


async def _first_block(endpoint: ChainClient) -> tuple[bool, bytes | None]:
    """Does it serve the chain that is known, and its first block; None for an endpoint of another id, or silent."""
    try:
        try:
            await endpoint.verify_chain()
            is_known = True
        except WrongGenesis:  # of the right id
            is_known = False
        (named,) = await endpoint.geneses()
    except RpcError:
        named = None
        is_known = False
    return is_known, named
