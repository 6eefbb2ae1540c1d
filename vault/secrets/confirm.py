"""Ask before a signing key that holds coin gets out of reach: 409 until the request says which, or how many."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Final, Literal, TypeVar

from fastapi import Query

from chains.addresses import format_address, parse_address
from chains.errors import BadAddress
from vault.context import Context
from vault.errors import Problem, conflict
from vault.networks.holdings import Holdings, find_holdings
from vault.secrets.reach import NOTHING, AtRisk

T = TypeVar("T")
Word = Literal["address", "number"]

MAX_SHOWN: Final = 100
MAX_ECHOED: Final = 100
# how often keys may be added meanwhile before we give up
TRIES: Final = 3

ConfirmAddress = Annotated[
    str | None,
    Query(
        max_length=64,
        description="The address whose signing key may get out of reach although it holds coin (not on testnets)",
    ),
]
ConfirmNumber = Annotated[
    str | None,
    Query(
        max_length=64,
        description="How many addresses may get out of reach although some of them hold coin (not on testnets)",
    ),
]


async def with_word(
    context: Context, confirm: str | None, word: Word, attempt: Callable[[frozenset[bytes]], Awaitable[T]]
) -> T:
    """What `attempt` gives, which is handed the addresses that were spoken of and raises AtRisk for others.

    `confirm` is the caller's word: the (current) address, or the number of all addresses where `word` says so and
    where there are several. Without it the chains are asked, with nothing held meanwhile. Problem 409 of type
    `confirmation_required` when one of the addresses holds coin or that cannot be found out.
    """
    cleared = NOTHING
    for _ in range(TRIES):
        try:
            return await attempt(cleared)
        except AtRisk as risk:
            addresses = risk.addresses
        if not agrees(confirm, addresses, word):
            found = await find_holdings(context, addresses)
            if found.may_hold:
                raise _required(addresses, found, word, confirm)
        cleared = frozenset(addresses)
    raise conflict("Signing keys are being added there just now; nothing was done, try again")


def agrees(confirm: str | None, addresses: Sequence[bytes], word: Word) -> bool:
    """Whether the caller's word names these addresses; written with a wrong checksum it names nothing."""
    if confirm is None:
        return False
    if confirm.isascii() and confirm.isdecimal():
        return (word == "number" or len(addresses) > 1) and confirm == str(len(addresses))
    try:
        return word == "address" and parse_address(confirm) == addresses[0]
    except BadAddress:
        return False


def mistaken(confirm: str | None, expected: str) -> str:
    """A sentence with a blank behind it on what the request confirmed instead; nothing where it confirmed nothing."""
    return "" if confirm is None else f"You confirmed {ascii(confirm)[:MAX_ECHOED]}; expected {expected}. "


def _required(addresses: Sequence[bytes], found: Holdings, word: Word, confirm: str | None) -> Problem:
    shown = [format_address(address) for address in addresses[:MAX_SHOWN]]
    expected = shown[0] if word == "address" else str(len(addresses))
    one = len(addresses) == 1
    said = [f"The signing key of {shown[0]} would get out of reach." if one else _many(len(addresses))]
    if found.holding:
        said.append(f"There is native coin on {', '.join(found.holding)}.")
    if found.unread:
        said.append(f"What there is on {', '.join(found.unread)} could not be read within {found.patience_s:g} s.")
    said.append("Tokens were not looked for.")
    repeat = f"repeat the request with ?confirm={expected} to do it all the same."
    said.append(f"{mistaken(confirm, expected)}Nothing was done; {repeat}")
    return Problem(
        409,
        " ".join(said),
        type="confirmation_required",
        title="Confirmation Required",
        extra={"addresses": shown, "address_count": len(addresses)},
    )


def _many(count: int) -> str:
    return f"The signing keys of {count} addresses would get out of reach."
