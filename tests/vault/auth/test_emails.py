import pytest

from vault.auth.emails import parse_email
from vault.errors import Problem


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        (" ada@example.com ", "ada@example.com"),
        ("ops@vault.internal", "ops@vault.internal"),
        ("admin@localhost", "admin@localhost"),
        ("a+tag@example.test", "a+tag@example.test"),
    ],
)
def test_one_spelling_per_address(given: str, stored: str) -> None:
    assert parse_email(given) == stored


@pytest.mark.parametrize(
    "given",
    [
        "",
        "ada",
        "\u212aate@example.com",
        "ada@",
        "@example.com",
        "a b@example.com",
        "a@b@c.com",
        "a" * 300 + "@x.com",
    ],
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(Problem) as refused:
        parse_email(given)
    assert refused.value.status == 400
