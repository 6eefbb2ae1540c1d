"""The associated data tells every place from every other."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from vault.secrets.context import seal_context

PLACES = st.tuples(st.uuids(), st.text("ab/1", max_size=8), st.integers(1, 2**31))


def test_layout_is_fixed() -> None:
    # values sealed yesterday must open tomorrow
    assert seal_context(UUID(int=1), "a/b", 258) == (
        b"talon/secret/v1" + b"\x00" * 15 + b"\x01" + b"\x00" * 6 + b"\x01\x02" + b"a/b"
    )


@given(PLACES, PLACES)
def test_two_places_never_share_a_context(one: tuple[UUID, str, int], other: tuple[UUID, str, int]) -> None:
    assert (seal_context(*one) == seal_context(*other)) is (one == other)
