"""Which address a request comes from [pure], when proxies stand in front."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

MAX_HOPS = 32

Network = IPv4Network | IPv6Network


def parse_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Addresses and CIDR blocks; raises ValueError for anything else."""
    return tuple(ip_network(text.strip(), strict=False) for text in texts)


def client_address(peer: str | None, forwarded_for: str, trusted: tuple[Network, ...]) -> str | None:
    """The nearest address that is not one of our proxies; None when there is none (a Unix socket).

    `X-Forwarded-For` counts only if the peer itself is a trusted proxy, and is read from the right: everything
    left of the first untrusted address is the client's own invention.
    """
    nearest = _canonical(peer or "")
    if nearest is None or not _within(nearest, trusted):
        return nearest
    for hop in reversed(forwarded_for.split(",")[-MAX_HOPS:]):
        address = _canonical(hop.strip())
        if address is None:
            return nearest
        nearest = address
        if not _within(address, trusted):
            return nearest
    return nearest


def _canonical(text: str) -> str | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    parsed = ip_address(address)
    return any(parsed in network for network in networks)
