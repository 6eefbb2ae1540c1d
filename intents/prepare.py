"""Everything before the lock: who may use which key, what it costs, is it allowed, what would happen.

No lock is held here and nothing is written (steps 3 to 5 of the way of a transaction, docs/transaction.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chains.build import build
from chains.fees import DynamicFees, LegacyFees, choose_fees
from chains.gas import TRANSACTION_GAS, floor_doubt, gas_fault
from chains.nonces import Known
from chains.quote import Quote, quote
from chains.rpc import ChainClient
from chains.simulate import Behind, Call, SimulationResult, recommended_gas, simulate
from chains.simulation_result import cannot_start
from chains.transactions import Transaction
from guardrails.decide import decide
from guardrails.facts import Facts
from guardrails.limits import Limits
from guardrails.outcome import Allowed, Denied
from intents import budget, grounds, prior, wallets
from intents.counts import believed
from intents.draft import Draft
from intents.grounds import Grounds
from intents.outside.gate import require_compared, require_within
from intents.prior import Prior
from intents.restored.alike import require_new
from vault.admin.settings import REQUIRE_SIMULATION, get_setting
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import Problem, unprocessable
from vault.secrets.signing_key import SigningKey, find_signing_key


@dataclass(frozen=True)
class Prepared:
    """A draft with all that was learnt about it; `gas_limit` and `fees` are what would be signed."""

    draft: Draft
    key: SigningKey
    client: ChainClient
    quote: Quote
    # the wallet's next nonce by which the quote's counts were believed, and the moment of its newest row then
    tracked: int
    newest_at: datetime | None
    fees: LegacyFees | DynamicFees
    gas_limit: int
    simulation: SimulationResult | None

    def transaction(self, nonce: int) -> Transaction:
        """The exact transaction that would be signed with this nonce."""
        draft = self.draft
        return build(
            self.fees,
            chain_id=draft.chain.chain_id,
            nonce=nonce,
            gas_limit=self.gas_limit,
            to=draft.to,
            value=draft.value_wei,
            data=draft.data,
        )


@dataclass(frozen=True)
class Background:
    """What the database says about the caller and the draft."""

    grounds: Grounds
    spent_wei: int
    prior: tuple[Prior, ...]
    known: Known
    simulation_required: bool


async def prepare(context: Context, caller: Caller, draft: Draft, *, simulate_always: bool) -> Prepared:
    """Quote, decide and simulate one draft.

    Raises 403 with the rule that forbids it, 404 without a key, 503 when the chain cannot be reached. A revert
    is not raised: it is `simulation.status`.
    """
    found = await read_background(context, caller, draft)
    key, limits = found.grounds.key, found.grounds.limits
    client = context.chains.for_chain(draft.chain)
    account = await require_compared(context, draft.chain, key.address)
    quoted = await quote(client, key.address)
    await require_within(context, draft.chain, account, quoted.mined_nonce)
    now = await believed(context, client, draft.chain, key.address, found.known, quoted)
    fees = choose_fees(draft.fees, now.fee_quote)
    check(draft, limits, found.spent_wei, (draft.gas_limit or TRANSACTION_GAS) * fee_cap(fees))

    behind = behind_of(draft, found.prior, now)
    simulation = misfit(draft, now)
    if simulate_always or found.simulation_required or draft.simulate_first:
        simulation = simulation or borne_out(draft, await simulate(client, call_of(draft, key), behind))
    elif simulation is not None:
        raise unprocessable(f"No node would ever take this transaction: {simulation.error}. Nothing was signed.")
    elif draft.gas_limit is not None and (doubt := floor_doubt(draft.gas_limit, draft.data)) is not None:
        raise unprocessable(f"Give more gas or simulate_first: {doubt}. Nothing was signed.")
    gas_limit = draft.gas_limit or await fill_gas(client, draft, key, simulation, behind)
    # the gas ceiling could not be judged before the gas was known
    check(draft, limits, found.spent_wei, gas_limit * fee_cap(fees))
    return Prepared(
        draft=draft,
        key=key,
        client=client,
        quote=now,
        tracked=found.known.tracked,
        newest_at=found.known.newest_at,
        fees=fees,
        gas_limit=gas_limit,
        simulation=simulation,
    )


async def read_background(context: Context, caller: Caller, draft: Draft, before_wei: int = 0) -> Background:
    """Everything from the database that preparing takes, in one go; `before_wei` is spent before it in a bundle.

    What can be decided without a key and without the chain is decided before either is looked for: Denial.
    """
    async with context.database.statements() as connection:
        limits = await grounds.read_limits(connection, caller, draft)
        spent_wei = await budget.read(connection, caller.id) + before_wei
        check(draft, limits, spent_wei, gas_cost_wei=0)
        key = await find_signing_key(connection, caller, draft.signing_key_path)
        await require_new(connection, caller.id, draft, key.address, binding=False)
        before = await prior.in_flight_calls(connection, draft.chain.chain_id, key.address)
        known = await wallets.known_at_first(connection, draft.chain.chain_id, key.address)
        return Background(
            grounds=Grounds(key, limits),
            spent_wei=spent_wei,
            prior=before,
            known=known,
            simulation_required=await get_setting(connection, REQUIRE_SIMULATION) != "false",
        )


def check(draft: Draft, limits: Limits, spent_wei: int, gas_cost_wei: int) -> Allowed:
    """Decide, and raise the 403 that names rule, limit and value if it is not allowed."""
    outcome = decide(
        Facts(
            chain_id=draft.chain.chain_id,
            chain_name=draft.chain.name,
            to=draft.to,
            value_wei=draft.value_wei,
            gas_cost_wei=gas_cost_wei,
            spent_wei=spent_wei,
        ),
        limits,
    )
    if isinstance(outcome, Denied):
        raise Denial(outcome)
    return outcome


class Denial(Problem):
    """403: a guardrail forbids it; `denied` says which rule, its limit and the actual value."""

    def __init__(self, denied: Denied) -> None:
        super().__init__(403, denied.detail)
        self.denied = denied


def fee_cap(fees: LegacyFees | DynamicFees) -> int:
    """The most a unit of gas can cost, in wei."""
    return fees.gas_price if isinstance(fees, LegacyFees) else fees.max_fee_per_gas


def call_of(draft: Draft, key: SigningKey) -> Call:
    """The draft as a call to simulate."""
    return Call(
        sender=key.address,
        to=draft.to,
        value=draft.value_wei,
        data=draft.data,
        gas_limit=draft.gas_limit,
    )


def behind_of(draft: Draft, before: Sequence[Prior], now: Quote) -> Behind:
    """What to simulate the draft behind: our own transactions that the node's state lacks."""
    bounds = [each for each in (draft.chain.max_tx_gas, now.block_gas_limit) if each is not None]
    return Behind(
        pending=prior.unknown_to_node(before, now.pending_nonce),
        unmined=prior.unknown_to_node(before, now.mined_nonce),
        max_gas=min(bounds, default=None),
        tag="pending" if now.knows_pending else "latest",
    )


def misfit(draft: Draft, now: Quote) -> SimulationResult | None:
    """Why no node will ever take the draft's own gas limit, as a simulation would say it; None if one may."""
    if draft.gas_limit is None:
        return None
    fault = gas_fault(draft.gas_limit, draft.data, draft.chain.max_tx_gas, now.block_gas_limit)
    return None if fault is None else cannot_start(fault.code, fault.reason, "rules of the chain")


def borne_out(draft: Draft, result: SimulationResult) -> SimulationResult:
    """`result`, unless what it counts speaks against a gas limit that would do on some chains only."""
    doubt = None if draft.gas_limit is None else floor_doubt(draft.gas_limit, draft.data)
    if doubt is None or result.status != "success" or result.gas_used <= (draft.gas_limit or 0):
        return result
    return cannot_start("BELOW_CALLDATA_FLOOR", doubt, "rules of the chain")


async def fill_gas(
    client: ChainClient, draft: Draft, key: SigningKey, simulation: SimulationResult | None, behind: Behind
) -> int:
    """A gas limit for a draft that named none; 422 when nothing can be estimated because it would revert."""
    if simulation is None:
        simulation = await simulate(
            client, call_of(replace(draft, gas_limit=None), key), replace(behind, pending=(), unmined=())
        )
        if simulation.status != "success":
            raise unprocessable(
                "Gas could not be estimated: the transaction would fail"
                f" ({simulation.revert_reason or simulation.error}). Give gas_limit to send it all the same."
            )
    if simulation.status != "success":
        return TRANSACTION_GAS
    return recommended_gas(simulation)
