"""Which stretches of a vault's path order can hold paths that patterns cover. Pure.

Paths are ordered as bytes. A pattern covers only paths that begin with what it says before its first wildcard, so a
caller with narrow grants is served from a few stretches, however many secrets lie between them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vault.policies.glob import ANY_CHARACTERS, ANY_SEGMENTS
from vault.secrets.paths import PREFIX

# sorts before and behind every character of a path
_BEFORE, _BEHIND = "!", "~"

_IN_A_PATH = re.compile(PREFIX, re.ASCII)


@dataclass(frozen=True, order=True)
class Range:
    """The paths from `low` on, up to and without `high`."""

    low: str
    high: str


@dataclass(frozen=True)
class Ranges:
    """Disjoint stretches in order; `exact` when every path in them is covered, not only possibly."""

    items: tuple[Range, ...]
    exact: bool


def of_prefix(prefix: str) -> Ranges:
    """Every path that begins with `prefix` (empty: every path)."""
    return Ranges((_beginning(prefix),), True)


def of_patterns(patterns: Iterable[str]) -> Ranges:
    """Stretches that hold every path which one of the patterns covers."""
    found: list[Range] = []
    exact = True
    for pattern in patterns:
        ranges, certain = _of_pattern(pattern)
        found += ranges
        exact = exact and certain
    return Ranges(_merged(found), exact)


def both(one: Ranges, other: Ranges) -> Ranges:
    """What lies in one and in the other."""
    common: list[Range] = []
    left, right = 0, 0
    while left < len(one.items) and right < len(other.items):
        here, there = one.items[left], other.items[right]
        low, high = max(here.low, there.low), min(here.high, there.high)
        if low < high:
            common.append(Range(low, high))
        if here.high <= there.high:
            left += 1
        else:
            right += 1
    return Ranges(tuple(common), one.exact and other.exact)


def _of_pattern(pattern: str) -> tuple[list[Range], bool]:
    """The stretches of one pattern, and whether it covers all of what lies in them."""
    literal, star, _ = pattern.partition(ANY_CHARACTERS)
    if _IN_A_PATH.fullmatch(literal) is None:
        return [], True
    if not star:
        return [_only(literal)], True
    # `**` is any number of segments only where it is a segment of its own
    any_below = pattern.startswith(literal + ANY_SEGMENTS) and (not literal or literal.endswith("/"))
    certain = any_below and pattern == literal + ANY_SEGMENTS
    if any_below and literal:
        # `a/**` covers `a` itself too
        return [_only(literal.removesuffix("/")), _beginning(literal)], certain
    return [_beginning(literal)], certain


def _only(path: str) -> Range:
    return Range(path, path + _BEFORE)


def _beginning(prefix: str) -> Range:
    return Range(prefix, prefix + _BEHIND)


def _merged(ranges: Sequence[Range]) -> tuple[Range, ...]:
    merged: list[Range] = []
    for each in sorted(ranges):
        if merged and each.low <= merged[-1].high:
            merged[-1] = Range(merged[-1].low, max(merged[-1].high, each.high))
        else:
            merged.append(each)
    return tuple(merged)
