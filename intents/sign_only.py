"""Sign without sending: the same guardrails, the same ledger, no nonce given out for good."""

from typing import Any

from intents import refuse, view
from intents.commit import commit
from intents.draft import Draft
from intents.engine import Engine
from intents.prepare import Denial, prepare
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import Problem


async def sign_only(context: Context, engine: Engine, caller: Caller, draft: Draft) -> dict[str, Any]:
    """A signed transaction for the agent to send itself; its value counts until its nonce is settled.

    With the nonce omitted it names the next free one without taking it: a later submission may use it.
    """
    try:
        prepared = await prepare(context, caller, draft, simulate_always=False)
        if prepared.simulation is not None and prepared.simulation.status != "success":
            row = await refuse.simulation_failed(context, caller, prepared, None)
            raise Problem(422, row["error_message"], extra={"simulation_status": row["simulation_status"]})
        async with engine.queue.turn(draft.chain.chain_id, prepared.key.address):
            committed = await commit(context, caller, prepared, "sign_only", None)
    except Denial as denial:
        await refuse.denied(context, caller, draft, denial, "sign")
        raise
    return view.sign_only(committed.row, committed.raw)
