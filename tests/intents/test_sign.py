from typing import Any

import pytest

from intents.sign import Owners, reason_for

UNKNOWN = Owners(known=False, handed_out=False, wanted=False, given_up=False)


def owners(**facts: bool) -> Owners:
    return Owners(**{"known": True, "handed_out": False, "wanted": False, "given_up": False} | facts)


@pytest.mark.parametrize(
    ("standing", "submit", "filler", "cancel"),
    [
        (UNKNOWN, "rolled_back", "rolled_back", "rolled_back"),
        # of a chain that was reset, all of them
        (owners(), "chain_reset", "chain_reset", "chain_reset"),
        (owners(handed_out=True), "sign_only", "sign_only", "sign_only"),
        (owners(given_up=True), None, "filler", "cancel"),
        (owners(given_up=True, handed_out=True), None, "filler", "cancel"),
        (owners(wanted=True), None, None, None),
        # the same bytes handed out and submitted: the submission counts
        (owners(wanted=True, handed_out=True), None, None, None),
    ],
)
def test_why_a_signature_may_take_the_place_of_another(
    standing: Owners, submit: str | None, filler: str | None, cancel: str | None
) -> None:
    kinds: dict[Any, str | None] = {"submit": submit, "sign_only": submit, "filler": filler, "cancel": cancel}
    for kind, reason in kinds.items():
        assert reason_for(kind, standing) == reason
