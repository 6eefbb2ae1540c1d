"""Where a log-in comes from [pure], and what tries from there are counted by."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from vault.auth.client_address import canonical, group_of

# somebody passed the request on; from a proxy that is not trusted, the peer's address says nothing about the client
FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")


@dataclass(frozen=True)
class Origin:
    """A request's client: its address (None: cannot be told), its device's cookie, and whether it is this host."""

    address: str | None
    device: str | None = field(default=None, repr=False)
    is_host: bool = False


@dataclass(frozen=True)
class Place:
    """What tries are counted by, and who waits in one line: a known device, or an address (of IPv6 its network).

    `is_known` says that the account it tries to enter was entered from here before; nobody may learn that by trying,
    except who shows the cookie of a device (`is_device`).
    """

    name: str
    is_known: bool = False
    is_device: bool = False


# the operator's own doing
HERE = Place("here", is_known=True)


def at_address(address: str | None, *, is_known: bool = False) -> Place:
    """The place that an address is."""
    return Place(f"address:{group_of(address)}", is_known)


def is_this_host(peer: str | None, headers: Iterable[str]) -> bool:
    """Whether a request was made on this host: from a loopback address, and passed on by nobody."""
    address = canonical(peer or "")
    if address is None or not (address == "::1" or address.startswith("127.")):
        return False
    return not any(name in FORWARDED for name in headers)
