"""What was paid before a restore, in the rolling window of every agent that may have paid it.

It counts beside the agent's own reservations, whose sum its budget row is, and is read with that under the same lock.
"""

from typing import Final

from guardrails.facts import UNKNOWN_WEI
from vault.clock.now import BELIEVED_NOW

# SQL: wei that count now for `:agent_id`; what has no amount fills any window. Without a clock that is believed all
# of it counts
COUNTED: Final = f"""
    COALESCE((SELECT sum(COALESCE(r.value_wei, {UNKNOWN_WEI})) FROM restored_spend r
              WHERE r.agent_id = :agent_id
                AND (r.value_wei IS NULL
                     OR (r.counted_from <= {BELIEVED_NOW} - interval '24 hours') IS NOT TRUE)), 0)
"""  # noqa: S608 - made of constants
