"""What a password must look like [pure]."""

from vault.auth.password_form import is_text, prepared

MIN_LENGTH = 12
MAX_BYTES = 1024


def fault(password: str) -> str | None:
    """Why the password is refused, in words for the person; None if it is good.

    12 characters or more, an upper-case and a lower-case letter, a digit, another character, no three identical
    characters in a row and no three in sequence (abc, 321).
    """
    if max(_bytes(password), _bytes(prepared(password))) > MAX_BYTES:
        return f"The password must have at most {MAX_BYTES} bytes"
    if not is_text(password):
        return "The password must not have control characters, or others that are no text"
    # of the form that is compared: an accent that stands by itself is no character of its own
    password = prepared(password)
    if len(password) < MIN_LENGTH:
        return f"The password must have at least {MIN_LENGTH} characters"
    if not any(char.isupper() for char in password) or not any(char.islower() for char in password):
        return "The password must have an upper-case and a lower-case letter"
    if not any(char.isdigit() for char in password):
        return "The password must have a digit"
    if all(char.isalnum() for char in password):
        return "The password must have a character that is neither letter nor digit"
    if _has_run(password, step=0, fold=False):
        return "The password must not have three identical characters in a row"
    if _has_run(password, step=1, fold=True) or _has_run(password, step=-1, fold=True):
        return "The password must not have three characters in sequence, as abc or 321"
    return None


def _bytes(password: str) -> int:
    return len(password.encode("utf-8", "surrogatepass"))


def _has_run(password: str, *, step: int, fold: bool) -> bool:
    text = password.lower() if fold else password
    for a, b, c in zip(text, text[1:], text[2:], strict=False):
        if step and not (a.isalnum() and b.isalnum() and c.isalnum()):
            continue
        if ord(b) - ord(a) == step and ord(c) - ord(b) == step:
            return True
    return False
