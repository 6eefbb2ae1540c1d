import pytest

from vault.auth.password_rule import fault


@pytest.mark.parametrize(
    "password",
    ["Correct-Horse-7-Staple", "Tr0ub4dor&Zwölf", "aB1!aB1!aB1!", "Пароль-8-секрет", "Pass phrase 8 ❤️👩‍💻"],
)
def test_good_passwords(password: str) -> None:
    assert fault(password) is None


@pytest.mark.parametrize(
    ("password", "word"),
    [
        ("Sh0rt!pass1", "12 characters"),
        ("correct-horse-7-staple", "upper-case"),
        ("CORRECT-HORSE-7-STAPLE", "lower-case"),
        ("Correct-Horse-Staple", "digit"),
        ("CorrectHorse7Staple", "neither letter nor digit"),
        ("Correct-Hooorse-7", "identical"),
        ("Correct-Horse---7", "identical"),
        ("Correct-Horse-789", "sequence"),
        ("Correct-Horse-987", "sequence"),
        ("Correct-aBc-Horse-7", "sequence"),
        ("A1!" + "xy" * 600, "1024 bytes"),
        # four bytes become twelve: composed characters that Unicode writes as several
        ("A1!xY" + "\U0001d160" * 100, "1024 bytes"),
        # accents that stand by themselves are neither characters of their own nor signs
        ("Sho\u0308rt!pa\u03081", "12 characters"),
        ("Zwo\u0308lfBoxkämpferJagen7", "neither letter nor digit"),
        ("Correct-Horse-7\x00Staple", "control"),
        ("Correct-Horse-7\tStaple", "control"),
        ("Correct-Horse-7\ue000Staple", "control"),
        ("Correct-Horse-7\uffffStaple", "control"),
        ("Correct-Horse-7\u0378Staple", "control"),
    ],
)
def test_a_weak_password_is_refused_with_its_reason(password: str, word: str) -> None:
    assert word in (fault(password) or "")
