"""The parts of a form. Pure."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Field:
    """One input; `kind` is its HTML type."""

    name: str
    label: str = ""
    kind: Literal["text", "email", "password", "hidden"] = "text"
    value: str = ""
    autocomplete: str = "off"
    longest: int = 1024
    required: bool = True


@dataclass(frozen=True)
class Button:
    """What sends the form, and what it then says in `answer`."""

    label: str
    value: str = "yes"


@dataclass(frozen=True)
class Link:
    """Where to go from here, on this site."""

    label: str
    href: str


EMAIL = Field("email", "E-mail address", "email", autocomplete="username", longest=320)
PASSWORD = Field("password", "Password", "password", autocomplete="current-password")
NEW_PASSWORD = Field("password", "New password", "password", autocomplete="new-password")


def email_field(value: str = "") -> Field:
    """The address, as it was typed before."""
    return replace(EMAIL, value=value)


def hidden(name: str, value: str) -> Field:
    """A value that comes back with the form."""
    return Field(name, kind="hidden", value=value)


def local(target: str) -> str:
    """A path on this site to go on to; the front page for anything else, so that no link leads astray."""
    plain = target.isascii() and target.isprintable() and "\\" not in target
    return target if plain and target.startswith("/") and not target.startswith("//") else "/"
