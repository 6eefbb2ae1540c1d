"""Which address a request comes from [pure], when proxies stand in front.

An address that cannot be told is None: it satisfies no allowlist and meets every deny rule. `Forwarded` (RFC 7239) is
not read: of two headers that say the same, a proxy writes one and passes the client's own invention on as the other.
"""

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

MAX_HOPS = 32
# what one customer of an IPv6 provider has at least; addresses within it cost nothing
IPV6_PREFIX = 64
UNKNOWN = "unknown"

Network = IPv4Network | IPv6Network

# as proxies write a hop: 203.0.113.9, 203.0.113.9:51234, 2001:db8::7, [2001:db8::7], [2001:db8::7]:443
_HOP = re.compile(r"\[([0-9A-Fa-f:.]+(?:%[^\]\s]*)?)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}", re.ASCII)


def parse_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Addresses and CIDR blocks; raises ValueError for anything else."""
    return tuple(ip_network(text.strip(), strict=False) for text in texts)


def client_address(peer: str | None, forwarded_for: str | None, trusted: tuple[Network, ...]) -> str | None:
    """The nearest address that is not one of our proxies; None when it cannot be told.

    `forwarded_for` is all lines of `X-Forwarded-For`, joined by commas; None when there are none. It counts only if
    the peer itself is a trusted proxy, and is read from the right: everything left of the first untrusted address is
    the client's own invention. A hop on the way there that is no address hides who asks: it is never taken to be the
    proxy itself, which may be let in where the client is not.
    """
    nearest = canonical(peer or "")
    if nearest is None or forwarded_for is None or not within(nearest, trusted):
        return nearest
    hops = forwarded_for.rsplit(",", MAX_HOPS)
    # what is left of the bound is one text with commas in it, which is no address
    for hop in reversed(hops):
        nearest = _read_hop(hop.strip())
        if nearest is None or not within(nearest, trusted):
            return nearest
    return nearest


def within(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether an address lies in one of the blocks."""
    parsed = ip_address(address)
    return any(parsed in network for network in networks)


def group_of(address: str | None) -> str:
    """Whom an address stands for where somebody is counted: itself, an IPv6 address its network of 64 bits.

    All whose address cannot be told are one: else hiding it would buy a count of one's own.
    """
    if address is None:
        return UNKNOWN
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((int(parsed), IPV6_PREFIX), strict=False))
    return address


def canonical(text: str) -> str | None:
    """An address in the one form in which it is compared and written down; None for what is none.

    IPv4 written in IPv6 (RFC 4291, section 2.5.5.2) becomes IPv4. A zone (RFC 4007) is dropped: it means something on
    one machine only, and may be any text.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        bare = IPv6Address(int(address))
        return str(bare.ipv4_mapped or bare)
    return str(address)


def _read_hop(text: str) -> str | None:
    written = _HOP.fullmatch(text)
    return canonical((written[1] or written[2]) if written else text)
