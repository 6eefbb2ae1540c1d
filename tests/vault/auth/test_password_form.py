"""One form per password and per typed code."""

import unicodedata

import pytest

from vault.auth.password_form import prepared, typed_code


@pytest.mark.parametrize(
    ("typed", "form"),
    [
        ("Correct-Horse-7", "Correct-Horse-7"),
        ("Zwo\u0308lf", "Zwölf"),
        ("\u1112\u1161\u11ab", "한"),
        ("q\u0323\u0307", "q\u0323\u0307"),
        ("q\u0307\u0323", "q\u0323\u0307"),
        ("\u212b", "Å"),
        # every space is the space; nothing is trimmed or squeezed
        ("a\u00a0b\u3000c\u2009d\u1680e", "a b c d e"),
        (" a  b ", " a  b "),
        # RFC 8265, 4.3: case, width and compatibility stay as they are
        ("correct Horse", "correct Horse"),
        ("\uff21", "\uff21"),
        ("\ufb01", "\ufb01"),
        ("\u03c0\u00df\u00e5", "πßå"),
    ],
)
def test_a_password_has_one_form(typed: str, form: str) -> None:
    assert prepared(typed) == form
    assert prepared(form) == form
    assert unicodedata.is_normalized("NFC", form)


@pytest.mark.parametrize(
    "typed",
    [
        "abcd-efgh-2345",
        " ABCD EFGH 2345\n",
        "ＡＢＣＤ－ＥＦＧＨ－２３４５",
        "abcd–efgh—2345",
        "abcd\u2011efgh\u22122345",
    ],
)
def test_a_recovery_code_is_read_as_people_type_it(typed: str) -> None:
    assert typed_code(typed) == "ABCDEFGH2345"


@pytest.mark.parametrize(
    "typed", ["123 456", "１２３４５６", "١٢٣٤٥٦", "۱۲۳۴۵۶", "१२३४५६", "123\u200b456", "123\u00a0456"]
)
def test_digits_are_digits(typed: str) -> None:
    assert typed_code(typed) == "123456"


def test_what_is_no_decimal_digit_is_none() -> None:
    for typed in ("①②③④⑤⑥x", "12345½", "一二三四五六"):
        assert typed_code(typed) != "123456"
