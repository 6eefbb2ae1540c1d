"""Whether an organisation may be used from an address [pure]: what the database decides, in words of its own."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal

Network = IPv4Network | IPv6Network
RuleType = Literal["allow", "deny"]
AppliesTo = Literal["all", "users", "agents"]
Kind = Literal["user", "agent"]

MAPPED_PREFIX = 96


@dataclass(frozen=True)
class Rule:
    """One rule of an organisation."""

    rule_type: RuleType
    network: Network
    applies_to: AppliesTo = "all"


def parse_network(text: str) -> Network:
    """A block or a single address, in the form in which callers' addresses are compared; ValueError otherwise.

    IPv4 addresses written in IPv6 (RFC 4291, section 2.5.5.2) become IPv4, as callers' own do.
    """
    network = ip_network(text)
    if isinstance(network, IPv6Network):
        if network.network_address.scope_id is not None:
            raise ValueError("an address has no zone here")
        mapped = network.network_address.ipv4_mapped
        if mapped is not None and network.prefixlen >= MAPPED_PREFIX:
            return ip_network((mapped, network.prefixlen - MAPPED_PREFIX))
    return network


def without_zone(address: str | None) -> str | None:
    """An address as rules speak of it: the zone of a link-local one (RFC 4007) is the host's own affair."""
    return None if address is None else address.partition("%")[0]


def is_blocked(rules: Iterable[Rule], kind: Kind, address: str | None) -> bool:
    """Deny beats allow, and any allow rule makes the rules an allowlist.

    An address that cannot be told (None) is in no block that is allowed and in every block that is denied.
    """
    mine = [rule for rule in rules if rule.applies_to in ("all", f"{kind}s")]
    bare = without_zone(address)
    where = None if bare is None else ip_address(bare)
    if any(rule.rule_type == "deny" and (where is None or where in rule.network) for rule in mine):
        return True
    covering = {rule.rule_type for rule in mine if where is not None and where in rule.network}
    return "allow" not in covering and any(rule.rule_type == "allow" for rule in mine)
