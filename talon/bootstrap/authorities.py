"""Whose certificates are believed: the system's list, and what a company has put into any tool's variable.

A company names its authority for one tool or the other; every tool of ours is told of all of them. What comes over
the line is checked by hash in any case.
"""

import os
import re
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path

from talon.bootstrap.places import TOOLS
from talon.bootstrap.steps import SetupError

VARIABLES = (
    "SSL_CERT_FILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NPM_CONFIG_CAFILE",
    "npm_config_cafile",
)
# some keep one beside its certificate; what is made here is for all to read
_PRIVATE_KEY = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
SYSTEM = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")


def named(environment: Mapping[str, str]) -> list[Path]:
    """The files that variables name; SetupError for one that is not there."""
    found: dict[Path, None] = {}
    for variable in VARIABLES:
        if value := environment.get(variable, "").strip():
            path = Path(value).expanduser()
            if not path.is_file():
                raise SetupError(f"{variable} names a file that is not there: {value}")
            found[path] = None
    return list(found)


def bundle(others: Iterable[Path] = (), environment: Mapping[str, str] | None = None) -> Path | None:
    """One file with all of them, below .tools; None where there is none at all: then each tool uses its own."""
    own = [*named(os.environ if environment is None else environment), *others]
    system = [Path(place) for place in (ssl.get_default_verify_paths().openssl_cafile, *SYSTEM)]
    files = list(dict.fromkeys([*own, *[path for path in system if path.is_file()][:1]]))
    if not files:
        return None
    read = (_PRIVATE_KEY.sub("", path.read_text(errors="replace")).strip() for path in files)
    text = "\n".join(dict.fromkeys(read)) + "\n"
    TOOLS.mkdir(exist_ok=True)
    made = TOOLS / "authorities.pem"
    made.write_text(text)
    return made


def for_tools(made: Path | None) -> dict[str, str]:
    """The variables by which pip, uv and others find the file."""
    return dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"), str(made)) if made else {}
