import pytest

from guardrails.wording import amount, listed


@pytest.mark.parametrize(("wei", "text"), [(0, "0"), (1, "0.000000000000000001"), (15 * 10**17, "1.5")])
def test_amount(wei: int, text: str) -> None:
    assert amount(wei) == text


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "none"),
        (["b", "a"], "a, b"),
        (list("edcba"), "a, b, c, d, e"),
        (list("abcdef"), "a, b, c, d, e and 1 more"),
    ],
)
def test_listed(names: list[str], text: str) -> None:
    assert listed(names) == text
