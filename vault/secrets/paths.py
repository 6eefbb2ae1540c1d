"""Which paths a secret may have. Pure.

Segments of letters, digits, `_` and `-`, joined by single slashes; the first and last character are a letter or
digit. No dots or spaces, so no path can mean another one.
"""

import re

from vault.errors import bad_request

MAX_LENGTH = 512
# every beginning of a path; nothing else can match one
PREFIX = r"^[a-zA-Z0-9_\-/]*$"

_PATH = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_\-/]*[a-zA-Z0-9])?", re.ASCII)


def is_path(text: str) -> bool:
    """Whether `text` is a well-formed path (case-sensitive, at most 512 characters, no empty segment)."""
    return len(text) <= MAX_LENGTH and _PATH.fullmatch(text) is not None and "//" not in text


def check_path(text: str, *, field: str = "path") -> str:
    """Return `text`; raise 400 naming `field` when it is no well-formed path."""
    if not is_path(text):
        raise bad_request(
            f"{field}: use letters, digits, '_', '-' and single slashes, beginning and ending with a letter or"
            f" digit, at most {MAX_LENGTH} characters"
        )
    return text
