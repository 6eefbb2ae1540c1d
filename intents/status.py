"""The states of a transaction and the only ways between them. Pure.

Inside there are more states than on the wire: the contract's enumeration ends at `broadcast`, Talon follows a
transaction until its block is final. `WIRE` says how each looks to a client.

    signed ──> broadcast ──> mined ──> final
       └───────────┴───────────┴─────> failed      (its nonce was settled by another transaction)
    sign_only and simulation_failed never change.

`mined` (and, on a chain that lost blocks, `final`) may go back to `broadcast`: a reorganisation.
"""

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """Where a transaction stands."""

    SIGNED = "signed"
    BROADCAST = "broadcast"
    MINED = "mined"
    FINAL = "final"
    FAILED = "failed"
    SIGN_ONLY = "sign_only"
    SIMULATION_FAILED = "simulation_failed"


WIRE: Final[dict[Status, str]] = {
    Status.SIGNED: "signed",
    Status.BROADCAST: "broadcast",
    Status.MINED: "broadcast",
    Status.FINAL: "broadcast",
    Status.FAILED: "failed",
    Status.SIGN_ONLY: "sign_only",
    Status.SIMULATION_FAILED: "simulation_failed",
}

# target: the states it may be reached from. Every UPDATE of a status names these in its WHERE.
FROM: Final[dict[Status, tuple[Status, ...]]] = {
    Status.BROADCAST: (Status.SIGNED, Status.MINED, Status.FINAL),
    Status.MINED: (Status.SIGNED, Status.BROADCAST, Status.MINED),
    Status.FINAL: (Status.MINED,),
    Status.FAILED: (Status.SIGNED, Status.BROADCAST, Status.MINED),
}

# a nonce with a transaction in one of these is taken: its bytes may be mined, or its nonce was settled otherwise
OCCUPYING: Final[tuple[Status, ...]] = (
    Status.SIGNED,
    Status.BROADCAST,
    Status.MINED,
    Status.FINAL,
    Status.FAILED,
)

IN_FLIGHT: Final[tuple[Status, ...]] = (Status.SIGNED, Status.BROADCAST)
