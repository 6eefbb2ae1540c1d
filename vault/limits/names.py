"""The rate limits by name: what each is by default, how it counts, and what an operator may put in its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from limits import RateLimitItem, parse_many

OFF = "off"
# the widest window that a counter is kept for
MAX_WINDOW_S = 366 * 86_400

# sliding: weighs the window before, so that a burst over the edge of two windows does not count as two bursts;
# fixed: the window opens with the first hit, which is exact for a limit of one
Strategy = Literal["sliding", "fixed"]


@dataclass(frozen=True)
class Named:
    """A limit's default, in the notation of the limits library, and the strategy that fits it."""

    default: str
    strategy: Strategy = "sliding"


NAMES: Mapping[str, Named] = {
    # public log-in routes and enrolment, per address and route; log-ins with a password, per account and address that
    # the account does not know: bursts of 5, 1/s in the long run
    "auth": Named("5/5 second"),
    # a device that waits for its approval asks every 5 s, and several may stand behind one address
    "device": Named("30/30 second"),
    # everything, per principal, per address as long as it is nobody's: bursts of 200, 100/s in the long run
    "ip": Named("200/2 second"),
    # a person's way in, right or wrong, per address or known device
    "login": Named("200/2 second"),
    # shares made, per organisation
    "share": Named("10/minute"),
    # enrolments that mail somebody, per mail address
    "enroll": Named("1/10 minute", "fixed"),
}


def parse_limit(name: str, text: str) -> tuple[RateLimitItem, ...]:
    """What an operator wrote for a limit, all parts of which hold; () for "off". ValueError says what is wrong."""
    if name not in NAMES:
        raise ValueError(f"there is no rate limit of that name; there are {', '.join(NAMES)}")
    if text.strip().lower() == OFF:
        return ()
    try:
        items = tuple(parse_many(text.strip()))
    except ValueError:
        raise ValueError('must be like "5/second", "200/2 second", "10/minute; 100/hour", or "off"') from None
    if any(item.amount < 1 or not 1 <= item.get_expiry() <= MAX_WINDOW_S for item in items):
        raise ValueError("must allow at least one within a window of a second to a year")
    return items


def parse_limits(overrides: Mapping[str, str]) -> dict[str, tuple[RateLimitItem, ...]]:
    """Every limit by name, the operator's word before the default; ValueError."""
    chosen = {name: named.default for name, named in NAMES.items()} | dict(overrides)
    return {name: parse_limit(name, text) for name, text in chosen.items()}
