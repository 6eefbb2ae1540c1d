"""The line before the password hashing: everybody's turn comes."""

from vault.auth.origin import Place
from vault.auth.turns import Turns

A, B, C = Place("a"), Place("b"), Place("c")
KNOWN = Place("k", is_known=True)


def drained(turns: Turns[str]) -> list[str]:
    order = []
    while (item := turns.next()) is not None:
        order.append(item)
    return order


def filled(*items: tuple[Place, str], of_a_place: int = 10, most: int = 20) -> tuple[Turns[str], list[str]]:
    turns: Turns[str] = Turns(most_of_a_place=of_a_place, most=most)
    away = [turned for place, item in items if (turned := turns.add(place, item)) is not None]
    return turns, away


def test_one_of_each_place_in_turn() -> None:
    turns, away = filled((A, "a1"), (A, "a2"), (A, "a3"), (B, "b1"), (C, "c1"), (B, "b2"))
    assert drained(turns) == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert away == []
    assert turns.next() is None


def test_neither_the_known_nor_the_strangers_starve() -> None:
    turns, _ = filled((A, "a1"), (B, "b1"), (KNOWN, "k1"), (KNOWN, "k2"), (KNOWN, "k3"))
    assert drained(turns) == ["k1", "a1", "k2", "b1", "k3"]


def test_a_place_fills_its_own_line_only() -> None:
    turns, away = filled((A, "a1"), (A, "a2"), (A, "a3"), (B, "b1"), of_a_place=2)
    assert away == ["a3"]
    assert drained(turns) == ["a1", "b1", "a2"]


def test_when_all_is_full_the_longest_line_gives_way() -> None:
    turns, away = filled((A, "a1"), (A, "a2"), (A, "a3"), (B, "b1"), (A, "a4"), (KNOWN, "k1"), most=3)
    assert away == ["a3", "a4"]
    assert drained(turns) == ["k1", "a1", "b1", "a2"]


def test_a_newcomer_goes_before_a_crowd_that_comes_again_and_again() -> None:
    crowd = [Place(f"crowd {number}") for number in range(5)]
    turns, _ = filled(*((place, place.name) for place in crowd))
    for _ in range(3):
        turns.add(Place(item := turns.next() or ""), item)
    turns.add(A, "a1")
    # two of the crowd have had no turn yet either, and came first
    assert drained(turns)[:3] == ["crowd 3", "crowd 4", "a1"]


def test_when_all_is_full_a_newcomer_takes_the_place_of_who_had_his_turn_last() -> None:
    turns, _ = filled((A, "a1"), (B, "b1"), most=2)
    assert drained(turns) == ["a1", "b1"]
    assert [turns.add(place, name) for place, name in ((A, "a2"), (B, "b2"))] == [None, None]
    assert turns.add(C, "c1") == "b2"
    assert turns.add(B, "b3") == "b3"
    assert drained(turns) == ["c1", "a2"]
