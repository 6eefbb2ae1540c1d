"""One archive over HTTPS: bounded in size and time, tried again when the line breaks, and checked by its hash."""

import base64
import hashlib
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path

from talon.bootstrap.steps import SetupError, explain, reason

MAX_BYTES = 200_000_000
QUIET_S = 60.0
WHOLE_S = 900.0
TRIES = 3
CHUNK = 1 << 20


def fetch(url: str, integrity: str, headers: dict[str, str], authorities: Path | None) -> bytes:
    """The content; SetupError says why there is none. `integrity` is `sha512-` and base64."""
    if not url.startswith(("https://", "http://")):
        raise SetupError("the registry's address begins with neither https:// nor http://")
    failed = ""
    for attempt in range(TRIES):
        try:
            content = _read(url, headers, authorities)
        except urllib.error.HTTPError as error:
            failed = f"the registry answered {error.code}"
            if error.code < 500 and error.code != 429:
                break
        except urllib.error.URLError as error:
            failed = ": ".join(filter(None, (reason(str(error.reason)), str(error.reason))))
        except OSError as error:
            failed = explain(error)
        else:
            if matches(content, integrity):
                return content
            failed = "what came has another hash than package-lock.json says"
        time.sleep(attempt)
    raise SetupError(failed)


def matches(content: bytes, integrity: str) -> bool:
    """Whether the content is the one that was locked."""
    return f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}" == integrity


def _read(url: str, headers: dict[str, str], authorities: Path | None) -> bytes:
    context = ssl.create_default_context(cafile=str(authorities) if authorities else None)
    request = urllib.request.Request(url)  # noqa: S310 - the scheme is checked by the caller
    for name, value in headers.items():
        # not on to where the registry may point: a log-in is for the registry alone
        request.add_unredirected_header(name, value)
    deadline = time.monotonic() + WHOLE_S
    content = bytearray()
    with urllib.request.urlopen(request, timeout=QUIET_S, context=context) as answer:  # noqa: S310
        while chunk := answer.read(CHUNK):
            content += chunk
            if len(content) > MAX_BYTES or time.monotonic() > deadline:
                raise TimeoutError("the registry sends too much or too slowly")
    return bytes(content)
