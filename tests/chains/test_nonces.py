import pytest

from chains.errors import BadNonce, NonceInFlight, NonceSkips, NonceUsed
from chains.nonces import check_explicit, next_nonce


@pytest.mark.parametrize(("tracked", "pending", "expected"), [(0, 0, 0), (5, 3, 5), (3, 5, 5), (4, 4, 4)])
def test_next(tracked: int, pending: int, expected: int) -> None:
    assert next_nonce(tracked, pending) == expected


@pytest.mark.parametrize("nonce", [3, 4, 5])
def test_holes_and_the_next_free_one_may_be_used(nonce: int) -> None:
    check_explicit(nonce, next_nonce=5, mined=3, occupied=False)


@pytest.mark.parametrize(
    ("nonce", "occupied", "error"),
    [
        (2, False, NonceUsed),
        (2, True, NonceUsed),
        (3, True, NonceInFlight),
        (5, True, NonceInFlight),
        (6, False, NonceSkips),
        (2**64 - 2, False, NonceSkips),
    ],
)
def test_refused_with_the_next_free_one_named(nonce: int, occupied: bool, error: type[BadNonce]) -> None:
    with pytest.raises(error, match="next free one is 5"):
        check_explicit(nonce, next_nonce=5, mined=3, occupied=occupied)
