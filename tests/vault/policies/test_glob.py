"""The glob rules of the contract as a table, and against a naive reference."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.pace import patient
from vault.policies.glob import MAX_STARS, fault_of, matches

TABLE = [
    # pattern, path, covered
    ("**", "a", True),
    ("**", "a/b/c", True),
    ("api-keys/*", "api-keys/a", True),
    ("api-keys/*", "api-keys/a/b", False),
    ("api-keys/*", "api-keys", False),
    ("api-keys/**", "api-keys", True),
    ("api-keys/**", "api-keys/a/b", True),
    ("api-keys/**", "api-keysx/a", False),
    ("**/prod", "prod", True),
    ("**/prod", "a/b/prod", True),
    ("**/prod", "a/b/prod/x", False),
    ("a/**/z", "a/z", True),
    ("a/**/z", "a/b/c/z", True),
    ("a/**/z", "a/b/c", False),
    ("a/**/**/z", "a/z", True),
    ("*", "a", True),
    ("*", "a/b", False),
    ("*/b", "a/b", True),
    ("a/b", "a/b", True),
    ("a/b", "A/b", False),
    ("a/b", "a/b/c", False),
    ("keys/anvil-signer", "keys/anvil-signer", True),
    ("keys/anvil*", "keys/anvil-signer", True),
    ("keys/*-signer", "keys/anvil-signer", True),
    ("keys/*-signer", "keys/-signer", True),
    ("keys/a*l*r", "keys/anvil-signer", True),
    ("keys/a*x*r", "keys/anvil-signer", False),
    ("ab*", "ab", True),
    ("ab*ba", "aba", False),
    ("ab*ba", "abba", True),
    ("*/*", "a/b", True),
    ("*/**/*", "a", False),
    ("*/**/*", "a/b", True),
    # characters that are wild elsewhere are not here
    ("a.c", "abc", False),
    ("a?c", "abc", False),
    ("[ab]", "a", False),
    ("", "a", False),
]


@pytest.mark.parametrize(("pattern", "path", "covered"), TABLE)
def test_table(pattern: str, path: str, covered: bool) -> None:
    assert matches(pattern, path) is covered


def naive(pattern: list[str], path: list[str]) -> bool:
    """The rules word for word, by trying everything."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(naive(pattern[1:], path[skipped:]) for skipped in range(len(path) + 1))
    if not path:
        return False
    wanted = ".*".join(re.escape(run) for run in pattern[0].split("*"))
    return re.fullmatch(wanted, path[0]) is not None and naive(pattern[1:], path[1:])


SEGMENT = st.text("ab", min_size=1, max_size=3)
PART = st.one_of(st.just("**"), st.just("*"), SEGMENT, st.text("ab*", min_size=1, max_size=4))


@settings(max_examples=1000, deadline=None)
@given(st.lists(PART, min_size=1, max_size=5), st.lists(SEGMENT, min_size=1, max_size=5))
def test_agrees_with_the_naive_reference(pattern: list[str], path: list[str]) -> None:
    parts = [part for part in pattern if part == "**" or "**" not in part] or ["**"]
    assert matches("/".join(parts), "/".join(path)) is naive(parts, path)


def test_hostile_patterns_cost_little() -> None:
    started = time.perf_counter()
    assert not matches("/".join(["**", "a"] * 60) + "/b", "/".join(["a"] * 250))
    assert not matches("a*" * 30 + "b", "a" * 500)
    assert time.perf_counter() - started < patient(1)


@pytest.mark.parametrize("pattern", ["**", "*", "a", "a/**", "a_b-c/*/x*y", "/".join(["*"] * MAX_STARS)])
def test_usable_patterns(pattern: str) -> None:
    assert fault_of(pattern) is None


@pytest.mark.parametrize(
    "pattern",
    ["", "/a", "a/", "a//b", "a**", "**a/b", "a b", "a.b", "a\n", "é", "a" * 513, "/".join(["*"] * (MAX_STARS + 1))],
)
def test_unusable_patterns(pattern: str) -> None:
    assert fault_of(pattern) is not None
