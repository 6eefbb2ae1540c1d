"""Where from and when: both forms of the time window, and nothing that is not understood."""

from datetime import UTC, datetime
from typing import Any

import pytest

from vault.policies.conditions import Conditions, ConditionsError, parse_conditions


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# 2026-03-06 is a Friday (5), 2026-03-07 a Saturday (6), 2026-03-08 a Sunday (0)
NIGHT = {"start_hour": 22, "end_hour": 6, "days_of_week": [5]}
WINDOWS: list[tuple[dict[str, Any], str, bool]] = [
    ({"after": "08:00", "before": "20:00", "timezone": "UTC"}, "2026-03-06T08:00", True),
    ({"after": "08:00", "before": "20:00"}, "2026-03-06T07:59", False),
    ({"after": "08:00", "before": "20:00"}, "2026-03-06T19:59", True),
    ({"after": "08:00", "before": "20:00"}, "2026-03-06T20:00", False),
    ({"after": "22:00", "before": "06:00"}, "2026-03-06T23:00", True),
    ({"after": "22:00", "before": "06:00"}, "2026-03-06T05:59", True),
    ({"after": "22:00", "before": "06:00"}, "2026-03-06T06:00", False),
    ({"after": "22:00", "before": "06:00"}, "2026-03-06T12:00", False),
    ({"after": "18:00"}, "2026-03-06T23:59", True),
    ({"after": "18:00"}, "2026-03-06T00:00", False),
    ({"before": "18:00"}, "2026-03-06T00:00", True),
    ({"before": "24:00", "after": "18:00"}, "2026-03-06T23:59", True),
    # Berlin is UTC+1 in winter and UTC+2 in summer
    ({"after": "08:00", "before": "09:00", "timezone": "Europe/Berlin"}, "2026-03-06T07:30", True),
    ({"after": "08:00", "before": "09:00", "timezone": "Europe/Berlin"}, "2026-07-06T07:30", False),
    ({"after": "08:00", "before": "09:00", "timezone": "Europe/Berlin"}, "2026-07-06T06:30", True),
    ({"start_hour": 8, "end_hour": 24}, "2026-03-06T23:59", True),
    ({"start_hour": 8, "end_hour": 20, "days_of_week": [5]}, "2026-03-06T09:00", True),
    ({"start_hour": 8, "end_hour": 20, "days_of_week": [0]}, "2026-03-06T09:00", False),
    ({"start_hour": 8, "end_hour": 20, "days_of_week": [0]}, "2026-03-08T09:00", True),
    ({"days_of_week": [5]}, "2026-03-06T00:00", True),
    ({"days_of_week": [5]}, "2026-03-07T00:00", False),
    (NIGHT, "2026-03-06T23:00", True),
    (NIGHT, "2026-03-07T02:00", True),  # the night that began on Friday
    (NIGHT, "2026-03-06T02:00", False),
    (NIGHT, "2026-03-07T23:00", False),
    # Saturday in UTC, still Friday in Honolulu
    ({"days_of_week": [5], "timezone": "Pacific/Honolulu"}, "2026-03-07T05:00", True),
    ({"start_hour": 8, "end_hour": 20, "cron_expr": None, "days_of_week": None}, "2026-03-06T09:00", True),
]


@pytest.mark.parametrize(("window", "moment", "open_"), WINDOWS)
def test_time_window(window: dict[str, Any], moment: str, open_: bool) -> None:
    assert parse_conditions({"time_window": window}).hold(None, at(moment)) is open_


@pytest.mark.parametrize(
    ("allowlist", "ip", "holds"),
    [
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["::ffff:10.0.0.0/104"], "10.1.2.3", True),
        (["::ffff:10.0.0.0/104"], "11.0.0.1", False),
        (["192.0.2.7"], "192.0.2.7", True),
        (["192.0.2.7"], "192.0.2.8", False),
        (["2001:db8::/32", "10.0.0.0/8"], "2001:db8::1", True),
        (["2001:db8::/32"], "10.0.0.1", False),
        (["0.0.0.0/0"], None, False),
        (["0.0.0.0/0"], "not an address", False),
    ],
)
def test_ip_allowlist(allowlist: list[str], ip: str | None, holds: bool) -> None:
    assert parse_conditions({"ip_allowlist": allowlist}).hold(ip, at("2026-03-06T00:00")) is holds


def test_all_conditions_must_hold() -> None:
    both = parse_conditions({"ip_allowlist": ["10.0.0.0/8"], "time_window": {"before": "12:00"}})
    assert both.hold("10.0.0.1", at("2026-03-06T11:00"))
    assert not both.hold("10.0.0.1", at("2026-03-06T13:00"))
    assert not both.hold("11.0.0.1", at("2026-03-06T11:00"))


@pytest.mark.parametrize("none", [None, {}])
def test_no_conditions_always_hold(none: dict[str, Any] | None) -> None:
    assert parse_conditions(none) == Conditions()
    assert Conditions().hold(None, at("2026-03-06T00:00"))


@pytest.mark.parametrize(
    "raw",
    [
        {"ip_alowlist": ["10.0.0.0/8"]},
        {"mfa": True},
        {"ip_allowlist": []},
        {"ip_allowlist": "10.0.0.0/8"},
        {"ip_allowlist": ["10.0.0.1/8"]},
        {"ip_allowlist": ["999.0.0.1"]},
        {"ip_allowlist": [1]},
        {"ip_allowlist": None},
        {"ip_allowlist": ["10.0.0.1"] * 257},
        {"time_window": {}},
        {"time_window": None},
        {"time_window": {"timezone": "UTC"}},
        {"time_window": {"after": "08:00", "start_hour": 8}},
        {"time_window": {"after": "08:00", "unless": "09:00"}},
        {"time_window": {"after": "8:00"}},
        {"time_window": {"after": "24:00"}},
        {"time_window": {"after": "08:60"}},
        {"time_window": {"after": 8}},
        {"time_window": {"after": "08:00", "before": "08:00"}},
        {"time_window": {"start_hour": 24}},
        {"time_window": {"start_hour": -1}},
        {"time_window": {"start_hour": True}},
        {"time_window": {"end_hour": 25}},
        {"time_window": {"start_hour": 8, "end_hour": 8}},
        {"time_window": {"start_hour": 8.5}},
        {"time_window": {"days_of_week": []}},
        {"time_window": {"days_of_week": [7]}},
        {"time_window": {"days_of_week": ["1"]}},
        {"time_window": {"start_hour": 8, "cron_expr": "* * * * *"}},
        {"time_window": {"after": "08:00", "timezone": "Mars/Olympus"}},
        {"time_window": {"after": "08:00", "timezone": "../../etc/passwd"}},
        {"time_window": {"after": "08:00", "timezone": 1}},
    ],
)
def test_what_is_not_understood_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(ConditionsError):
        parse_conditions(raw)
