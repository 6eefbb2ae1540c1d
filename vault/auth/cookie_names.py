"""What our cookies are called [pure]."""

from typing import Literal

Kind = Literal["session", "visit", "challenge", "device"]


def cookie_name(public_url: str, kind: Kind) -> str:
    """The name of one kind; over https a cookie is bound to the host and never sent in the clear."""
    prefix = "__Host-" if public_url.startswith("https://") else ""
    return f"{prefix}talon_{kind}"
