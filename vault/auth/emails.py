"""E-mail addresses [pure]: one spelling per address."""

from email_validator import EmailNotValidError, validate_email

from vault.errors import bad_request

MAX_LENGTH = 254


def normalise(address: str) -> str:
    """The form an address is stored and looked up in: trimmed and lower-case."""
    return address.strip().lower()


def parse_email(address: str) -> str:
    """The stored form of a well-formed address; Problem 400 otherwise.

    Addresses within private networks (`ops@vault.internal`) are fine: this is self-hosted.
    """
    try:
        if len(address) > MAX_LENGTH:
            raise EmailNotValidError("too long")
        parsed = validate_email(address.strip(), check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        raise bad_request("email: must be an e-mail address", email="must be an e-mail address") from None
    return normalise(parsed.normalized)
