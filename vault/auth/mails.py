"""What mails to people say [pure]."""

from dataclasses import dataclass, field
from urllib.parse import quote


@dataclass(frozen=True)
class Mail:
    """A plain-text mail; the text may hold a token."""

    subject: str
    text: str = field(repr=False)


def verify_email(public_url: str, token: str) -> Mail:
    """To whoever signs up."""
    return Mail(
        "Confirm your e-mail address",
        f"""Welcome to Talon.

Open this link to confirm your e-mail address and create your account:
{public_url}/verify-email?token={quote(token)}

If the link does not open, use this token: {token}

It works once, for 24 hours. If you did not sign up, ignore this mail: nothing is created without it.
""",
    )


def known(public_url: str) -> Mail:
    """To somebody who signs up a second time."""
    return Mail(
        "Your Talon account",
        f"""Somebody, perhaps you, tried to sign up at Talon with this e-mail address.

There is an account with this address already, so nothing was changed. Log in at {public_url}
""",
    )


def welcome(public_url: str) -> Mail:
    """To a new person."""
    return Mail("Welcome to Talon", f"Your account is ready. Log in at {public_url}\n")


def reset_password(public_url: str, token: str) -> Mail:
    """To somebody who forgot a password."""
    return Mail(
        "Set a new password",
        f"""Somebody, perhaps you, asked to set a new password for your Talon account.

Open this link to set one:
{public_url}/reset-password?token={quote(token)}

If the link does not open, use this token: {token}

It works once, for one hour. If you did not ask, ignore this mail: your password stays as it is.
""",
    )


def know_device(public_url: str, token: str) -> Mail:
    """To whoever's right password came from a device that is not let in at the moment."""
    return Mail(
        "Let this device sign in?",
        f"""Somebody, perhaps you, signed in to your Talon account with the right password, from a device or an
address that you have not used before. Because of many failed log-ins at your account it was not let in.

If that was you, open this link on the device and sign in again:
{public_url}/know-device?token={quote(token)}

If the link does not open, use this token: {token}

It works once, for one hour. If it was not you, somebody knows your password: do not open the link, and set a new
password at {public_url}/forgot-password
""",
    )


def password_changed(public_url: str) -> Mail:
    """To whoever's password was changed."""
    return Mail(
        "Your password was changed",
        f"""The password of your Talon account was changed just now, and every session has ended.

If that was not you, set a new one at {public_url}/forgot-password and check your API keys: they still work.
""",
    )


def google_linked(public_url: str) -> Mail:
    """To whoever's account a Google account opens from now on."""
    return Mail(
        "A Google account opens your Talon account",
        f"""The Google account of this address was linked to your Talon account just now and logs in from now on.

If that was not you, log in at {public_url} with your password, take it back (DELETE /v1/auth/google/link),
change your password, and see who else reads this mailbox.
""",
    )


def api_key_created(public_url: str, name: str) -> Mail:
    """To whoever got a new personal API key."""
    return Mail(
        "An API key was created",
        f"""A personal API key named "{_one_line(name)}" was created for your Talon account just now.

If that was not you, revoke it and change your password: {public_url}
""",
    )


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
