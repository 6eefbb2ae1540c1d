"""Where npm's registry is: as npm itself is configured, else where the packageurl library says that it is."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import quote, urlsplit

from talon.bootstrap.python import SETUP_PYTHON
from talon.bootstrap.steps import run

ASK = """
import json, sys
from packageurl import PackageURL
from packageurl.contrib.purl2url import get_download_url
answer = {}
for name, version in json.loads(sys.argv[1]):
    namespace, _, short = name.rpartition("/")
    answer[name] = get_download_url(PackageURL("npm", namespace or None, short, version).to_string())
print(json.dumps(answer))
"""


@dataclass(frozen=True)
class Registry:
    """`settings` is npm's own configuration; `public` the archives' addresses where it names no registry."""

    settings: Mapping[str, str] = field(repr=False)
    public: Mapping[str, str]

    @classmethod
    def from_machine(cls, packages: Sequence[tuple[str, str]]) -> Self:
        """Read npm's configuration, and ask for public addresses what it leaves open."""
        settings = npm_settings(os.environ)
        opened = [package for package in packages if base_of(package[0], settings) is None]
        said = run([str(SETUP_PYTHON), "-I", "-c", ASK, json.dumps(opened)]) if opened else "{}"
        return cls(settings, json.loads(said))

    def archive(self, name: str, version: str) -> tuple[str, dict[str, str]]:
        """The address of a package's archive, and the headers that its registry wants."""
        base = base_of(name, self.settings)
        if base is None:
            return self.public[name], {}
        short = name.rpartition("/")[2]
        return f"{base}/{quote(name, safe='@/')}/-/{short}-{version}.tgz", credentials(base, self.settings)


def base_of(name: str, settings: Mapping[str, str]) -> str | None:
    """The configured registry of a package: its scope's before the general one; None where none is."""
    scope = name.partition("/")[0] if name.startswith("@") else ""
    found = settings.get(f"{scope}:registry") if scope else None
    found = found or settings.get("registry")
    return found.rstrip("/") if found else None


def credentials(base: str, settings: Mapping[str, str]) -> dict[str, str]:
    """What npm would send to this registry: a token or a basic log-in that its configuration keeps for the host."""
    parts = urlsplit(base)
    place = f"//{parts.netloc}{parts.path}"
    while place.strip("/"):
        for key, kind in (("_authToken", "Bearer"), ("_auth", "Basic")):
            if value := settings.get(f"{place.rstrip('/')}/:{key}") or settings.get(f"{place.rstrip('/')}:{key}"):
                return {"Authorization": f"{kind} {value}"}
        place = place.rstrip("/").rpartition("/")[0]
    return {}


def npm_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """npm's configuration: its files, weakest first, then the environment."""
    home = environment.get("HOME", "")
    own = environment.get("NPM_CONFIG_USERCONFIG") or environment.get("npm_config_userconfig")
    files = ["/etc/npmrc", "/usr/etc/npmrc", "/usr/local/etc/npmrc", own or (f"{home}/.npmrc" if home else "")]
    found: dict[str, str] = {}
    for file in files:
        if file and Path(file).is_file() and os.access(file, os.R_OK):
            found |= parse_npmrc(Path(file).read_text(errors="replace"), environment)
    for name, value in environment.items():
        if name.lower().startswith("npm_config_") and value:
            found[name[len("npm_config_") :].lower()] = value
    return found


def parse_npmrc(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """`name=value` lines; `${NAME}` stands for a variable, `;` and `#` begin a comment."""
    found = {}
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        if separator and name.strip() and name.strip()[0] not in "#;[":
            value = value.strip().strip("\"'")
            found[name.strip()] = re.sub(r"\$\{(\w+)\??\}", lambda match: environment.get(match[1], ""), value)
    return found
