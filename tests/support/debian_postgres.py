"""PostgreSQL 15 as Debian builds it: the system's, or the package unpacked into .tools, so that no service starts."""

import os
import subprocess
from pathlib import Path

from talon.bootstrap import TOOLS, SetupError, one_at_a_time, run, succeeds

VERSION = 15
SYSTEM = Path(f"/usr/lib/postgresql/{VERSION}/bin")
OWN = TOOLS / "postgresql"
# the server, and libraries that a bare system may lack
LIBRARIES = (
    *("libpq5", "libicu72", "libxml2", "libxslt1.1", "liblz4-1", "libzstd1", "libpam0g", "libsystemd0", "libssl3"),
    *("libldap-2.5-0", "libsasl2-2", "libaudit1", "libcap-ng0", "libcap2", "libgcrypt20", "libgpg-error0"),
    *("libgssapi-krb5-2", "libkrb5-3", "libk5crypto3", "libkrb5support0", "libkeyutils1", "libcom-err2"),
    *("libgnutls30", "libnettle8", "libhogweed6", "libgmp10", "libp11-kit0", "libffi8", "libtasn1-6"),
    *("libunistring2", "libidn2-0", "liblzma5", "libstdc++6"),
)


def find_debian_postgres() -> tuple[Path, dict[str, str]]:
    """Its programs and what they need in their environment; fetched first where they are missing. SetupError."""
    if (SYSTEM / "postgres").exists():
        return SYSTEM, {}
    programs = OWN / SYSTEM.relative_to("/")
    with one_at_a_time():
        if not (programs / "postgres").exists():
            _unpack(f"postgresql-{VERSION}")
        if not (programs / "postgres").exists():
            raise SetupError(
                f"please install PostgreSQL {VERSION} (Debian: sudo apt-get install postgresql-{VERSION})"
            )
        if any(_lacks(programs / name) for name in ("postgres", "initdb")):
            _unpack(*LIBRARIES)
    return programs, _environment()


def _environment() -> dict[str, str]:
    places = [str(path) for path in OWN.glob("usr/lib/*-linux-gnu")] + [str(p) for p in OWN.glob("lib/*-linux-gnu")]
    return {"LD_LIBRARY_PATH": ":".join(places)} if places else {}


def _lacks(program: Path) -> bool:
    asked = subprocess.run(
        ["ldd", str(program)],
        env={**os.environ, **_environment()},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return "not found" in asked.stdout


def _unpack(*packages: str) -> None:
    archives = TOOLS / "deb"
    archives.mkdir(parents=True, exist_ok=True)
    fetched = [name for name in packages if _download(name, archives)]
    if not fetched and os.geteuid() == 0:
        # a fresh machine has no lists yet
        run(["apt-get", "update", "--quiet"], {"DEBIAN_FRONTEND": "noninteractive"})
        fetched = [name for name in packages if _download(name, archives)]
    for name in fetched:
        for archive in archives.glob(f"{name}_*.deb"):
            run(["dpkg-deb", "-x", str(archive), str(OWN)])


def _download(name: str, archives: Path) -> bool:
    return succeeds(["apt-get", "download", "--quiet", name], directory=archives)
