"""Which nonce comes next, and whether a requested one may be used. [pure]"""

from chains.errors import NonceInFlight, NonceSkips, NonceUsed


def next_nonce(tracked: int, pending: int) -> int:
    """The next free nonce: what we gave out counts, and so does what others sent with the same key."""
    return max(tracked, pending)


def check_explicit(nonce: int, next_nonce: int, mined: int, occupied: bool) -> None:
    """Pass a requested nonce that is the next free one, or fills a hole below it.

    `mined` is the chain's count at its latest block; `occupied` says that a transaction of ours which may still be
    mined has this nonce. NonceUsed, NonceInFlight or NonceSkips otherwise.
    """
    if nonce < mined:
        raise NonceUsed(f"nonce {nonce} is used already; the next free one is {next_nonce}")
    if occupied:
        raise NonceInFlight(f"nonce {nonce} belongs to a transaction in flight; the next free one is {next_nonce}")
    if nonce > next_nonce:
        raise NonceSkips(f"nonce {nonce} skips; the next free one is {next_nonce}")
