"""One Unicode form per password, and per code that somebody types [pure].

The same keys give other code points on another system: "é" as one or as two, a space that does not break. RFC 8265
(PRECIS, profile OpaqueString) says which are the same: spaces become the ASCII one, then NFC; case, width and
compatibility forms stay apart.
"""

import unicodedata
from typing import Final

# what no keyboard means (PRECIS refuses it), or what a later version of Unicode may compose otherwise
_NO_TEXT: Final = frozenset({"Cc", "Cs", "Co", "Cn"})
_SEPARATORS: Final = frozenset({"Zs", "Pd", "Cf"})
_MINUS: Final = "\N{MINUS SIGN}"


def prepared(password: str) -> str:
    """The form in which a password is hashed and compared; idempotent."""
    spaced = "".join(" " if unicodedata.category(char) == "Zs" else char for char in password)
    return unicodedata.normalize("NFC", spaced)


def is_text(password: str) -> bool:
    """Whether it has assigned, printable characters only: what is not may have no lasting form."""
    return not any(unicodedata.category(char) in _NO_TEXT for char in password)


def typed_code(code: str) -> str:
    """A code of ASCII letters and digits as it was made, however it is typed.

    Keyboards give full-width forms, digits of other scripts, and dashes and spaces of all kinds.
    """
    folded = unicodedata.normalize("NFKC", code)
    kept = (char for char in folded if not (char.isspace() or char == _MINUS or _is_separator(char)))
    return "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in kept).upper()


def _is_separator(char: str) -> bool:
    return unicodedata.category(char) in _SEPARATORS
