"""The Intents API: who calls and with what; the verbs live in files of their own."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import JSONResponse

from intents import read, view
from intents.engine import Engine, engine_of
from intents.give_up import give_up
from intents.idempotency import MAX_KEY_CHARS
from intents.replies import (
    SIGNATURE_REFUSED,
    STOPPED,
    SUBMISSION_REFUSED,
    BundleReply,
    SignedReply,
    SimulationReply,
    TransactionListReply,
    TransactionReply,
)
from intents.schemas import BundleRequest, TransactionRequest, draft_of
from intents.sign_only import sign_only
from intents.simulate import simulate_bundle, simulate_one
from intents.submit import submit
from vault.agents.repository import agent_org
from vault.auth.caller import Caller
from vault.auth.dependencies import caller as authenticated
from vault.context import Context, context_of
from vault.errors import bad_request, forbidden, not_found
from vault.freezes.schemas import FROZEN
from vault.restores.gate import require_open
from vault.restores.schemas import RESTORED

router = APIRouter(prefix="/v1/agents/{agent_id}/transactions", tags=["Transactions"])

CallerDep = Annotated[Caller, Depends(authenticated)]
ContextDep = Annotated[Context, Depends(context_of)]
EngineDep = Annotated[Engine, Depends(engine_of)]
Limit = Annotated[int, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, le=2**31 - 1)]


async def itself(agent_id: UUID, caller: CallerDep) -> Caller:
    """Only the agent itself may act; the answer is the same for every other id, known or not."""
    if not caller.is_agent:
        raise forbidden("Only the agent itself can use the Intents API; humans set its guardrails.")
    if caller.id != agent_id:
        raise forbidden("An agent can only act for itself; use your own agent id.")
    if not caller.intents_api_enabled:
        raise forbidden("The Intents API is not enabled for this agent; a human can switch it on.")
    return caller


async def reader(agent_id: UUID, caller: CallerDep, context: ContextDep) -> Caller:
    """The agent itself, or a human who manages its organisation."""
    if caller.is_agent:
        if caller.id != agent_id:
            raise forbidden("An agent can only read its own transactions.")
        return caller
    async with context.database.statements() as connection:
        org_id = await agent_org(connection, agent_id)
    if org_id != caller.org_id:
        raise not_found("Agent not found")
    if not caller.is_org_admin:
        raise forbidden("An agent's transactions are for an owner or admin of its organisation.")
    if caller.scopes is not None:
        # a key narrowed to some paths stands for less than its human
        raise forbidden("This API key's scopes do not cover agents' transactions.")
    return caller


@dataclass(frozen=True)
class Shown:
    """What a GET is asked to show beyond the contract's fields."""

    signed_tx: bool
    include: frozenset[str]


async def shown_of(include_signed_tx: str | None = None, include: str | None = None) -> Shown:
    """`?include_signed_tx=true` (or 1) for the bytes, `?include=receipt,signing` for fields of ours."""
    wanted = frozenset(name for name in (include or "").split(",") if name)
    if unknown := wanted - view.INCLUDABLE:
        raise bad_request(
            f"include: unknown {', '.join(sorted(unknown))[:100]}; one of {', '.join(sorted(view.INCLUDABLE))}."
        )
    return Shown(include_signed_tx in ("true", "1"), wanted)


async def raw_wanted(include: str | None = None) -> bool:
    """Whether `?include=raw` asks a simulation for amounts in the smallest unit too."""
    if include not in (None, "", "raw"):
        raise bad_request("include: only raw can be asked for here", include="unknown")
    return include == "raw"


RawDep = Annotated[bool, Depends(raw_wanted)]
AgentDep = Annotated[Caller, Depends(itself)]
ReaderDep = Annotated[Caller, Depends(reader)]
ShownDep = Annotated[Shown, Depends(shown_of)]


@router.post(
    "",
    status_code=201,
    response_model=None,
    responses={200: {"model": TransactionReply}, 201: {"model": TransactionReply}, **SUBMISSION_REFUSED},
)
async def submit_transaction(
    body: TransactionRequest,
    caller: AgentDep,
    context: ContextDep,
    engine: EngineDep,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> JSONResponse:
    """Sign and broadcast a transaction inside the agent's guardrails (201; 200 for a replay)."""
    if idempotency_key is not None and not 1 <= len(idempotency_key) <= MAX_KEY_CHARS:
        raise bad_request(f"Idempotency-Key must have 1 to {MAX_KEY_CHARS} characters.")
    async with context.database.statements() as connection:
        await require_open(connection)
        draft = await draft_of(connection, body)
    answer = await submit(context, engine, caller, draft, idempotency_key)
    return JSONResponse(answer.body, status_code=answer.status)


@router.post("/sign", response_model=None, responses={200: {"model": SignedReply}, **SIGNATURE_REFUSED})
async def sign_transaction(
    body: TransactionRequest, caller: AgentDep, context: ContextDep, engine: EngineDep
) -> dict[str, Any]:
    """Sign a transaction without sending it; the next signature takes its nonce unless this was sent."""
    async with context.database.statements() as connection:
        await require_open(connection)
        draft = await draft_of(connection, body)
    return await sign_only(context, engine, caller, draft)


@router.post(
    "/simulate", response_model=None, responses={200: {"model": SimulationReply}, **FROZEN, **RESTORED, **STOPPED}
)
async def simulate_transaction(
    body: TransactionRequest, caller: AgentDep, context: ContextDep, raw: RawDep
) -> dict[str, Any]:
    """Say what a transaction would do, under the same guardrails; nothing is signed."""
    async with context.database.statements() as connection:
        await require_open(connection)
        draft = await draft_of(connection, body)
    return await simulate_one(context, caller, draft, raw=raw)


@router.post("/simulate-bundle", response_model=None, responses={200: {"model": BundleReply}, **FROZEN, **RESTORED})
async def simulate_transactions(
    body: BundleRequest, caller: AgentDep, context: ContextDep, raw: RawDep
) -> dict[str, Any]:
    """Say what several transactions would do, each on the state the one before left."""
    async with context.database.statements() as connection:
        await require_open(connection)
        drafts = [await draft_of(connection, each) for each in body.transactions]
    return await simulate_bundle(context, caller, drafts, raw=raw)


@router.get("", response_model=None, responses={200: {"model": TransactionListReply}})
async def list_transactions(
    agent_id: UUID,
    caller: ReaderDep,
    context: ContextDep,
    shown: ShownDep,
    limit: Limit = 100,
    offset: Offset = 0,
) -> dict[str, Any]:
    """A page of the agent's transactions, newest first."""
    found = await read.page(context, agent_id, limit, offset)
    return {"transactions": [show(shown, each) for each in found]}


@router.get("/{transaction_id}", response_model=None, responses={200: {"model": TransactionReply}})
async def get_transaction(
    agent_id: UUID, transaction_id: UUID, caller: ReaderDep, context: ContextDep, shown: ShownDep
) -> dict[str, Any]:
    """One transaction; the signed bytes are absent unless asked for."""
    return show(shown, await read.one(context, agent_id, transaction_id))


@router.post(
    "/{transaction_id}/give-up", response_model=None, responses={200: {"model": TransactionReply}, **RESTORED}
)
async def give_up_transaction(
    agent_id: UUID, transaction_id: UUID, caller: ReaderDep, context: ContextDep, engine: EngineDep
) -> dict[str, Any]:
    """Stop trying to have a transaction mined: a filler takes its nonce, so that those behind it can go on."""
    return await give_up(context, engine, caller, agent_id, transaction_id)


def show(shown: Shown, found: read.Found) -> dict[str, Any]:
    """A transaction as a GET shows it."""
    return view.transaction(found.row, signed_tx=found.signed_tx if shown.signed_tx else None, include=shown.include)
