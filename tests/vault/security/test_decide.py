"""Rules on addresses: the pure decision, and that PostgreSQL decides the same."""

import random
from ipaddress import ip_network
from uuid import uuid4

import pytest
from sqlalchemy import delete, insert

from tests.support.factories import make_org
from vault.db import Database
from vault.orgs.models import IpRule
from vault.security.blocked import blocks
from vault.security.decide import AppliesTo, Kind, Rule, RuleType, is_blocked, parse_network


def rule(rule_type: RuleType, network: str, applies_to: AppliesTo = "all") -> Rule:
    return Rule(rule_type, parse_network(network), applies_to)


OFFICE, HOME, OPEN = rule("allow", "203.0.113.0/24"), rule("allow", "198.51.100.7"), rule("allow", "0.0.0.0/0")
BAD = rule("deny", "203.0.113.66")


@pytest.mark.parametrize(
    ("rules", "kind", "address", "blocked"),
    [
        ((), "user", "203.0.113.1", False),
        ((), "agent", None, False),
        ((OFFICE,), "user", "203.0.113.1", False),
        ((OFFICE,), "user", "203.0.114.1", True),
        ((OFFICE, HOME), "user", "198.51.100.7", False),
        ((OFFICE, HOME), "user", "198.51.100.8", True),
        ((OFFICE,), "user", "2001:db8::1", True),
        ((OFFICE,), "user", None, True),
        ((BAD,), "user", "203.0.113.66", True),
        ((BAD,), "user", "203.0.113.67", False),
        # an address that cannot be told meets every deny rule and no allow rule
        ((BAD,), "user", None, True),
        ((OPEN,), "agent", None, True),
        ((rule("deny", "192.0.2.0/24", "agents"),), "user", None, False),
        ((OFFICE, BAD), "user", "203.0.113.66", True),
        ((BAD, OPEN), "agent", "203.0.113.66", True),
        ((OPEN,), "user", "2001:db8::1", True),
        ((rule("allow", "::/0"),), "user", "192.0.2.1", True),
        ((rule("deny", "::ffff:192.0.2.1"),), "user", "192.0.2.1", True),
        ((rule("allow", "fe80::/10"),), "user", "fe80::1%eth0", False),
        ((rule("allow", "192.0.2.0/24", "agents"),), "user", "203.0.113.1", False),
        ((rule("allow", "192.0.2.0/24", "agents"),), "agent", "203.0.113.1", True),
        ((rule("deny", "192.0.2.0/24", "users"), OPEN), "agent", "192.0.2.1", False),
        ((rule("deny", "192.0.2.0/24", "users"), OPEN), "user", "192.0.2.1", True),
    ],
)
def test_decisions(rules: tuple[Rule, ...], kind: Kind, address: str | None, blocked: bool) -> None:
    assert is_blocked(rules, kind, address) is blocked


@pytest.mark.parametrize(
    "bad", ["", "203.0.113.1/24", "203.0.113", "300.1.1.1", "10.0.0.0/33", "fe80::1%eth0", "x", "1.2.3.4/"]
)
def test_what_is_no_block(bad: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_network(bad)


def random_rules(dice: random.Random) -> list[Rule]:
    """Up to five rules whose blocks differ in few bits, so that they and the addresses meet often."""
    rules = []
    for _ in range(dice.randrange(6)):
        low = dice.randrange(8)
        block = dice.choice(
            [
                f"203.0.113.{low}/{dice.randint(28, 32)}",
                f"2001:db8::{low}/{dice.randint(124, 128)}",
                "0.0.0.0/0",
                "::/0",
            ]
        )
        network = str(ip_network(block, strict=False))
        rules.append(rule(dice.choice(["allow", "deny"]), network, dice.choice(["all", "users", "agents"])))
    return rules


async def test_postgresql_decides_the_same(database: Database) -> None:
    org_id, dice = await make_org(database), random.Random(20)
    seen = {True: 0, False: 0}
    async with database.begin() as connection:
        for _ in range(300):
            rules = random_rules(dice)
            kind: Kind = dice.choice(["user", "agent"])
            low = dice.randrange(8)
            address = dice.choice([None, f"203.0.113.{low}", f"2001:db8::{low}", "fe80::1%eth0"])
            rows = [
                {"id": uuid4(), "org_id": org_id, "rule_type": one.rule_type, "cidr": str(one.network),
                 "applies_to": one.applies_to, "created_by": uuid4()}
                for one in rules
            ]  # fmt: skip
            await connection.execute(delete(IpRule).where(IpRule.org_id == org_id))
            if rows:
                await connection.execute(insert(IpRule), rows)
            expected = is_blocked(rules, kind, address)
            assert await blocks(connection, org_id, kind, address) is expected, (rules, kind, address)
            seen[expected] += 1
    assert min(seen.values()) > 50
