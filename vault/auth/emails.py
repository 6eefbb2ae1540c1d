"""E-mail addresses [pure]: one spelling per address."""

import re

from vault.errors import bad_request

MAX_LENGTH = 254

# What browsers accept in an e-mail field (WHATWG HTML, 4.10.5.1.5). ASCII only, so no two addresses look alike and
# none can break out of a mail header; private domains (`ops@vault.internal`) are fine, this is self-hosted.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_FORM = re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})*", re.ASCII)


def normalise(address: str) -> str:
    """The form an address is stored and looked up in: trimmed and lower-case.

    Only ASCII is lowered: the Kelvin sign would become a "k", and somebody else's mailbox this one.
    """
    trimmed = address.strip()
    return trimmed.lower() if trimmed.isascii() else trimmed


def parse_email(address: str) -> str:
    """The stored form of a well-formed address; Problem 400 otherwise."""
    normalised = normalise(address)
    if len(normalised) > MAX_LENGTH or not _FORM.fullmatch(normalised):
        raise bad_request("email: must be an e-mail address", email="must be an e-mail address")
    return normalised
