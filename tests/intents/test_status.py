"""The state machine: what the wire shows, and that nothing goes backwards but by a reorganisation."""

from intents.status import FROM, IN_FLIGHT, OCCUPYING, WIRE, Status

CONTRACT = {"pending", "signed", "sign_only", "broadcast", "failed", "simulation_failed"}


def test_every_status_has_a_name_on_the_wire() -> None:
    assert set(WIRE) == set(Status)
    assert set(WIRE.values()) <= CONTRACT


def test_ends_stay_ends() -> None:
    ends = {Status.FAILED, Status.SIGN_ONLY, Status.SIMULATION_FAILED}
    assert not any(ends & set(sources) for sources in FROM.values())


def test_nothing_fails_that_is_final() -> None:
    assert Status.FINAL not in FROM[Status.FAILED]


def test_what_may_still_be_mined_occupies_its_nonce() -> None:
    assert set(IN_FLIGHT) <= set(OCCUPYING)
    assert Status.MINED in OCCUPYING
    assert Status.SIGN_ONLY not in OCCUPYING
