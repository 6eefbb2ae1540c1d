"""Ten thousand small random worlds: nothing is readable that no live policy covers, and nothing covered is refused.

The oracle knows the contract's words only: it tries every way to split a path, adds times of day as text, and
looks at single addresses.
"""

import random
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from vault.auth.caller import Caller
from vault.auth.scopes import path_scopes
from vault.policies.conditions import parse_conditions
from vault.policies.decide import Grant, Granted, VaultFacts, decide

WORLDS = 10_000
NOON = datetime(2026, 3, 6, 12, tzinfo=UTC)  # a Friday

PATHS = ("a", "b", "ab", "a/b", "a/ab", "b/a", "a/b/a", "ab/a/b", "a/b/a/b")
PATTERNS = ("**", "*", "a", "a/*", "a/**", "**/b", "*/b", "a*", "a*/b", "**/a/**", "*/*", "a/b/*", "b/a", "z")
SCOPES = ((), (), (), ("**",), ("a/**",), ("*", "z"), ("vault:read",), ("tx:sign", "a/*"))
ADDRESSES = (None, "10.0.0.1", "11.0.0.1")
CONDITIONS: tuple[dict[str, Any] | None, ...] = (
    None,
    None,
    {},
    {"ip_allowlist": ["10.0.0.1"]},
    {"time_window": {"after": "08:00", "before": "20:00"}},
    {"time_window": {"after": "20:00", "before": "08:00"}},
    {"ip_allowlist": ["11.0.0.1"], "time_window": {"days_of_week": [5]}},
    {"time_window": {"start_hour": 0, "end_hour": 24, "days_of_week": [0, 6]}},
)
ORGS, VAULTS, PRINCIPALS = ([UUID(int=base + number) for number in range(2)] for base in (10, 20, 30))


@dataclass
class World:
    """Two vaults, who asks, and every policy there is, as the wire would say it."""

    vaults: list[dict[str, Any]]
    policies: list[dict[str, Any]]
    asking: dict[str, Any]
    now: datetime


def make(dice: random.Random) -> World:
    return World(
        vaults=[
            {
                "id": vault_id,
                "org": dice.choice((*ORGS, ORGS[0], ORGS[0])),
                "by": dice.choice((*PRINCIPALS, UUID(int=99))),
                "by_type": dice.choice(("user", "agent")),
            }
            for vault_id in VAULTS
        ],
        policies=[
            {
                "id": UUID(int=100 + number),
                "vault_id": dice.choice(VAULTS),
                "principal_type": dice.choice(("user", "agent")),
                "principal_id": dice.choice(PRINCIPALS),
                "pattern": dice.choice(PATTERNS),
                "permissions": dice.choice((["read"], ["write"], ["read", "write"], ["delete"], ["delete", "read"])),
                "conditions": dice.choice(CONDITIONS),
                "expires_at": dice.choice((None, None, NOON - timedelta(days=1), NOON + timedelta(hours=6))),
            }
            for number in range(dice.randrange(6))
        ],
        asking={
            "kind": dice.choice(("user", "agent")),
            "id": dice.choice(PRINCIPALS),
            "org": dice.choice((*ORGS, ORGS[0], ORGS[0])),
            "scopes": dice.choice(SCOPES),
            "vault_ids": tuple(dice.sample(VAULTS, dice.choice((0, 0, 0, 1, 2)))),
            "ip": dice.choice(ADDRESSES),
        },
        now=NOON + timedelta(hours=dice.choice((0, 0, 5, 9, 24))),
    )


def fits(pattern: list[str], path: list[str]) -> bool:
    """The contract's glob rules, by trying everything."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(fits(pattern[1:], path[used:]) for used in range(len(path) + 1))
    one = "".join(".*" if char == "*" else re.escape(char) for char in pattern[0])
    return bool(path) and re.fullmatch(one, path[0]) is not None and fits(pattern[1:], path[1:])


def covered(pattern: str, path: str) -> bool:
    return fits(pattern.split("/"), path.split("/"))


def holds(conditions: dict[str, Any] | None, ip: str | None, now: datetime) -> bool:
    """The few conditions that these worlds have (all in UTC)."""
    given = conditions or {}
    if "ip_allowlist" in given and ip not in given["ip_allowlist"]:
        return False
    window = given.get("time_window", {})
    if "days_of_week" in window and now.isoweekday() % 7 not in window["days_of_week"]:
        return False
    if "after" in window:
        clock, after, before = now.strftime("%H:%M"), window["after"], window["before"]
        return after <= clock < before if after < before else clock >= after or clock < before
    return True


def allowed(world: World, vault: dict[str, Any], path: str, permission: str) -> tuple[bool, bool]:
    """By the contract's words: whether this may be done, and whether a live policy covers it."""
    asking = world.asking
    live = any(
        policy["vault_id"] == vault["id"]
        and (policy["principal_type"], policy["principal_id"]) == (asking["kind"], asking["id"])
        and permission in policy["permissions"]
        and (policy["expires_at"] is None or world.now < policy["expires_at"])
        and covered(policy["pattern"], path)
        and holds(policy["conditions"], asking["ip"], world.now)
        for policy in world.policies
    )
    made_it = (vault["by_type"], vault["by"]) == (asking["kind"], asking["id"])
    paths = [scope for scope in asking["scopes"] if ":" not in scope]
    may = (
        vault["org"] == asking["org"]
        and (not asking["vault_ids"] or vault["id"] in asking["vault_ids"])
        and (not paths or any(covered(scope, path) for scope in paths))
        and (made_it or live)
    )
    return may, live or made_it


def granted_in(world: World) -> list[Grant]:
    """Every policy of the world: the decision itself must tell whose and where each is."""
    return [
        Grant(
            id=policy["id"],
            vault_id=policy["vault_id"],
            principal_type=policy["principal_type"],
            principal_id=policy["principal_id"],
            pattern=policy["pattern"],
            permissions=frozenset(policy["permissions"]),
            conditions=parse_conditions(policy["conditions"]),
            expires_at=policy["expires_at"],
        )
        for policy in world.policies
    ]


def decided(world: World, grants: list[Grant], vault: dict[str, Any], path: str, permission: Any) -> bool:
    asking = world.asking
    caller = Caller(
        kind=asking["kind"],
        id=asking["id"],
        org_id=asking["org"],
        role="owner" if asking["kind"] == "user" else None,
        credential="jwt",
        scopes=path_scopes(asking["scopes"]),
        vault_ids=asking["vault_ids"],
        ip_address=asking["ip"],
    )
    facts = VaultFacts(vault["id"], vault["org"], vault["by"], vault["by_type"])
    return isinstance(decide(caller, facts, grants, path, permission, world.now), Granted)


def test_nothing_is_readable_that_no_live_policy_covers() -> None:
    dice = random.Random(20260306)  # the same worlds in every run
    worlds = granted = by_policy = 0
    for _ in range(WORLDS):
        world = make(dice)
        worlds += 1
        grants = granted_in(world)
        for vault in world.vaults:
            for path in dice.sample(PATHS, 3):
                permission = dice.choice(("read", "read", "write"))
                may, is_covered = allowed(world, vault, path, permission)
                answer = decided(world, grants, vault, path, permission)
                assert answer is may, (world, vault, path, permission)
                assert is_covered or not answer
                granted += answer
                by_policy += answer and vault["by"] != world.asking["id"]
    # worlds in which everything is refused would prove nothing
    assert worlds == WORLDS
    assert granted > WORLDS / 4
    assert by_policy > WORLDS / 40
