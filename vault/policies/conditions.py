"""The conditions of a policy: where from and when. Pure.

Two forms of `time_window` are in use among clients, and both are read:
`{"after": "08:00", "before": "20:00", "timezone": "UTC"}` and
`{"start_hour": 8, "end_hour": 20, "days_of_week": [1, 5], "timezone": "Europe/Berlin"}` (0 is Sunday).
An unknown key is an error, never ignored: ignoring one would grant more than its author meant.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from zoneinfo import ZoneInfo

from vault.security.decide import parse_network

DAY_MINUTES = 24 * 60
MAX_NETWORKS = 256
SUNDAY_FIRST = (1, 2, 3, 4, 5, 6, 0)  # datetime.weekday() counts from Monday

_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00", re.ASCII)
_CLOCK_KEYS = {"after", "before", "timezone"}
_HOUR_KEYS = {"start_hour", "end_hour", "days_of_week", "timezone", "cron_expr"}


class ConditionsError(ValueError):
    """The conditions cannot be read; the message says what is wrong and holds nothing secret."""


@dataclass(frozen=True)
class TimeWindow:
    """Open from `start` (included) to `end` (excluded), minutes of the local day; over midnight when start > end.

    `days` (0 is Sunday) are the days on which the window opens: a window that opens on Friday at 22:00 still
    belongs to Friday at 02:00 on Saturday.
    """

    start: int
    end: int
    days: frozenset[int]
    zone: tzinfo

    def contains(self, now: datetime) -> bool:
        """Whether the instant `now` (aware) lies inside."""
        local = now.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        day = SUNDAY_FIRST[local.weekday()]
        if self.start < self.end:
            return self.start <= minute < self.end and day in self.days
        if minute >= self.start:
            return day in self.days
        yesterday = SUNDAY_FIRST[(local.date() - timedelta(days=1)).weekday()]
        return minute < self.end and yesterday in self.days


@dataclass(frozen=True)
class Conditions:
    """What must hold besides path and permission; None means no such condition."""

    networks: tuple[IPv4Network | IPv6Network, ...] | None = None
    window: TimeWindow | None = None

    def hold(self, ip: str | None, now: datetime) -> bool:
        """Whether a call from `ip` at `now` meets them all; an unknown address meets no allowlist."""
        if self.networks is not None and not _within(ip, self.networks):
            return False
        return self.window is None or self.window.contains(now)


def parse_conditions(raw: Mapping[str, Any] | None) -> Conditions:
    """Read conditions as given on the wire (None and {} are none).

    Raises `ConditionsError` when any part is not understood.
    """
    if not raw:
        return Conditions()
    for key in raw:
        if key not in ("ip_allowlist", "time_window"):
            raise ConditionsError(f"unknown condition {key[:64]!r}; known are ip_allowlist and time_window")
    return Conditions(
        networks=_parse_networks(raw["ip_allowlist"]) if "ip_allowlist" in raw else None,
        window=_parse_window(raw["time_window"]) if "time_window" in raw else None,
    )


def _within(ip: str | None, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    try:
        address = ip_address(ip or "")
    except ValueError:
        return False
    # a dual-stack socket reports 10.0.0.1 as ::ffff:10.0.0.1
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def _parse_networks(raw: Any) -> tuple[IPv4Network | IPv6Network, ...]:
    if not isinstance(raw, list) or not 0 < len(raw) <= MAX_NETWORKS:
        raise ConditionsError(f"ip_allowlist must be a list of 1 to {MAX_NETWORKS} addresses or CIDR ranges")
    networks = []
    for entry in raw:
        # it also reads integers and bytes; only text is meant
        if not isinstance(entry, str):
            raise ConditionsError("ip_allowlist holds addresses or CIDR ranges as text")
        try:
            networks.append(parse_network(entry))
        except ValueError:
            raise ConditionsError(f"ip_allowlist: {entry[:64]!r} is no address or CIDR range") from None
    return tuple(networks)


def _parse_window(raw: Any) -> TimeWindow:
    if not isinstance(raw, dict) or not raw:
        raise ConditionsError("time_window must be an object")
    keys = set(raw)
    if keys <= _CLOCK_KEYS and keys & {"after", "before"}:
        start, end = _clock(raw.get("after", "00:00"), "after"), _clock(raw.get("before", "24:00"), "before")
        days = frozenset(range(7))
    elif keys <= _HOUR_KEYS and keys & {"start_hour", "end_hour", "days_of_week"}:
        if raw.get("cron_expr") is not None:
            raise ConditionsError("time_window.cron_expr is not supported; use hours and days_of_week")
        start = 60 * _hour(raw.get("start_hour", 0), "start_hour", 23)
        end = 60 * _hour(raw.get("end_hour", 24), "end_hour", 24)
        days = _days(raw["days_of_week"]) if raw.get("days_of_week") is not None else frozenset(range(7))
    else:
        raise ConditionsError(
            "time_window takes either after, before, timezone or start_hour, end_hour, days_of_week, timezone"
        )
    if start % DAY_MINUTES == end % DAY_MINUTES and (start, end) != (0, DAY_MINUTES):
        raise ConditionsError("time_window starts when it ends; leave the hours out to mean the whole day")
    return TimeWindow(start, end, days, _zone(raw.get("timezone")))


def _clock(raw: Any, name: str) -> int:
    if not isinstance(raw, str) or not _CLOCK.fullmatch(raw) or (name == "after" and raw == "24:00"):
        raise ConditionsError(f"time_window.{name} must be a time of day such as 08:30")
    return int(raw[:2]) * 60 + int(raw[3:])


def _hour(raw: Any, name: str, highest: int) -> int:
    if type(raw) is not int or not 0 <= raw <= highest:
        raise ConditionsError(f"time_window.{name} must be a whole number from 0 to {highest}")
    return raw


def _days(raw: Any) -> frozenset[int]:
    if not isinstance(raw, list) or not raw or not all(type(day) is int and 0 <= day <= 6 for day in raw):
        raise ConditionsError("time_window.days_of_week must be a list of numbers from 0 (Sunday) to 6 (Saturday)")
    return frozenset(raw)


def _zone(raw: Any) -> tzinfo:
    if raw is None or raw == "UTC":
        return UTC
    if not isinstance(raw, str) or len(raw) > 64:
        raise ConditionsError("time_window.timezone must be an IANA time zone such as Europe/Berlin")
    try:
        return ZoneInfo(raw)
    except (KeyError, ValueError, OSError):  # unknown zone, path tricks, a directory's name
        raise ConditionsError(f"time_window.timezone: {raw!r} is no IANA time zone") from None
