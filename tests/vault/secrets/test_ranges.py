"""Stretches of the path order hold every path their patterns cover, and no more than they say."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.policies.glob import matches
from vault.secrets.paths import is_path
from vault.secrets.ranges import Range, Ranges, both, of_patterns, of_prefix

PATHS = st.text("ab-_/1Z", min_size=1, max_size=8).filter(is_path)
PATTERNS = st.lists(st.text("ab-_1Z*", min_size=1, max_size=3) | st.just("**"), min_size=1, max_size=4).map("/".join)


def holds(ranges: Ranges, path: str) -> bool:
    return any(each.low <= path < each.high for each in ranges.items)


@given(st.lists(PATTERNS, max_size=4), PATHS)
def test_patterns(patterns: list[str], path: str) -> None:
    found = of_patterns(patterns)
    covered = any(matches(pattern, path) for pattern in patterns)
    assert holds(found, path) or not covered
    if found.exact:
        assert covered or not holds(found, path)


@given(PATHS, PATHS)
def test_prefixes(prefix: str, path: str) -> None:
    assert holds(of_prefix(prefix), path) is path.startswith(prefix)
    assert holds(of_prefix(""), path)


@given(st.lists(PATTERNS, max_size=4), st.lists(PATTERNS, max_size=4), PATHS)
def test_both(some: list[str], others: list[str], path: str) -> None:
    one, other = of_patterns(some), of_patterns(others)
    assert holds(both(one, other), path) is (holds(one, path) and holds(other, path))
    assert both(one, other).exact is (one.exact and other.exact)


@given(st.lists(PATTERNS, max_size=6))
def test_disjoint_and_in_order(patterns: list[str]) -> None:
    items = of_patterns(patterns).items
    assert all(each.low < each.high for each in items)
    assert all(one.high < other.low for one, other in pairwise(items))


@pytest.mark.parametrize(
    ("pattern", "expected", "exact"),
    [
        ("**", [("", "~")], True),
        ("a/b", [("a/b", "a/b!")], True),
        ("a/**", [("a", "a!"), ("a/", "a/~")], True),
        ("a/*", [("a/", "a/~")], False),
        ("a/x*", [("a/x", "a/x~")], False),
        ("a/**/b", [("a", "a!"), ("a/", "a/~")], False),
        ("*/b", [("", "~")], False),
        ("a**", [("a", "a~")], False),
        # in no path, so it covers none
        ("é/*", [], True),
        ("a b", [], True),
    ],
)
def test_examples(pattern: str, expected: list[tuple[str, str]], exact: bool) -> None:
    assert of_patterns([pattern]) == Ranges(tuple(Range(low, high) for low, high in expected), exact)


def test_narrow_among_wide() -> None:
    found = both(of_patterns(["**"]), of_patterns(["db/one", "db/two"]))
    assert found.items == (Range("db/one", "db/one!"), Range("db/two", "db/two!"))
    assert found.exact
    assert of_patterns([]).items == ()
