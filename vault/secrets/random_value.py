"""Random values for secrets that nobody needs to choose."""

import secrets
import string
from typing import Final, Literal

Charset = Literal["hex", "base64", "alphanumeric", "ascii"]

MIN_RANDOM: Final = 8
MAX_RANDOM: Final = 1024

_LETTERS_AND_DIGITS = string.ascii_letters + string.digits

ALPHABETS: Final[dict[Charset, str]] = {
    "hex": "0123456789abcdef",
    "base64": _LETTERS_AND_DIGITS + "+/",
    "alphanumeric": _LETTERS_AND_DIGITS,
    # every printable character but the space, which is lost too easily
    "ascii": _LETTERS_AND_DIGITS + string.punctuation,
}


def random_value(length: int, charset: Charset) -> str:
    """`length` characters, each drawn evenly from the alphabet by the operating system's randomness."""
    return "".join(secrets.choice(ALPHABETS[charset]) for _ in range(length))
