"""Signing keys stay in reach: no agent puts one out of it, and no human does so without knowing what it holds."""

from collections.abc import Sequence
from typing import Final

from vault.auth.caller import Caller
from vault.errors import forbidden

NOTHING: Final[frozenset[bytes]] = frozenset()


class AtRisk(Exception):  # noqa: N818 - reads as what it says
    """Keys of these 20-byte addresses would get out of reach, the current one first; nothing of it was done.

    Raised out of the transaction, so that no lock and no connection is held while the chains are asked.
    """

    def __init__(self, addresses: Sequence[bytes]) -> None:
        super().__init__(f"{len(addresses)} signing keys would get out of reach")
        self.addresses = tuple(addresses)


def spare(caller: Caller, addresses: Sequence[bytes], where: str) -> None:
    """Raise 403 for an agent where signing keys lie, whatever their state; `where` reads like "at keys/a".

    An agent uses keys. Whether they stay where they are, and the funds with them, is a human's to say.
    """
    if caller.is_agent and addresses:
        raise forbidden(f"A signing key lies {where}; only a human may replace, disable or delete it")


def require_cleared(addresses: Sequence[bytes], cleared: frozenset[bytes]) -> None:
    """Raise AtRisk unless somebody has said of all of these that they may get out of reach.

    Call it behind the lock under which the addresses were read.
    """
    if not cleared.issuperset(addresses):
        raise AtRisk(addresses)
