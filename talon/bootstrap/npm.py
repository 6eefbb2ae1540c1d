"""What npm's registry has for us: the local chain's binary and, for tests, the contract compiler.

Their packages are plain archives, so neither Node nor npm is needed to get them; each is checked against the hash
in package-lock.json before anything of it is written.
"""

import io
import json
import platform
import shutil
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from talon.bootstrap.download import fetch
from talon.bootstrap.places import NODE_MODULES, ROOT
from talon.bootstrap.registry import Registry
from talon.bootstrap.steps import SetupError, say

# Node's names of what Python calls otherwise
CPUS = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
MAX_UNPACKED_BYTES = 300_000_000


@dataclass(frozen=True)
class Package:
    """One archive: `path` below node_modules, `integrity` as npm writes it (sha512, base64)."""

    path: str
    name: str
    version: str
    integrity: str


def wanted(lock: Mapping[str, Any], development: bool, system: str, cpu: str) -> list[Package]:
    """The packages of the lock that this machine needs; SetupError where its platform has no binary."""
    found = []
    for path, entry in lock["packages"].items():
        if not path or (entry.get("dev") and not development):
            continue
        if system in entry.get("os", [system]) and cpu in entry.get("cpu", [cpu]):
            name = path.rpartition("node_modules/")[2]
            found.append(Package(path.removeprefix("node_modules/"), name, entry["version"], entry["integrity"]))
    if not any(package.name.startswith("@foundry-rs/") for package in found):
        raise SetupError(
            f"there is no local chain for {system} on {cpu}: for external chains alone it is not needed:"
            " TALON_ANVIL_PORT=0 make serve"
        )
    return found


def install(development: bool, authorities: Path | None) -> None:
    """Bring node_modules to what the lock says; SetupError when a package cannot be had."""
    lock = json.loads((ROOT / "package-lock.json").read_text())
    cpu = CPUS.get(platform.machine().lower(), platform.machine())
    packages = wanted(lock, development, sys.platform, cpu)
    missing = [package for package in packages if not is_there(package)]
    if missing:
        say(f"installing {', '.join(sorted({p.name for p in missing if '/' in p.name or p.name == 'solc'}))}")
        registry = Registry.from_machine([(package.name, package.version) for package in missing])
        for package in missing:
            url, headers = registry.archive(package.name, package.version)
            try:
                content = fetch(url, package.integrity, headers, authorities)
            except SetupError as error:
                raise SetupError(
                    f"{package.name} cannot be downloaded: {error}; to go without: TALON_ANVIL_PORT=0 make serve"
                ) from None
            unpack(package, content)
    prune({package.path for package in packages})


def is_there(package: Package) -> bool:
    """Whether exactly this archive was unpacked before."""
    stamp = NODE_MODULES / package.path / ".integrity"
    return stamp.exists() and stamp.read_text() == package.integrity


def unpack(package: Package, content: bytes) -> None:
    """Write an archive's files below node_modules; the directory appears when it is complete."""
    target = NODE_MODULES / package.path
    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    size = 0
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for member in archive:
            # npm's archives have one directory on top, whatever its name
            inner = PurePosixPath(*PurePosixPath(member.name).parts[1:])
            size += member.size
            if size > MAX_UNPACKED_BYTES:
                raise SetupError(f"{package.name} is larger than {MAX_UNPACKED_BYTES} bytes")
            if not member.isfile() or ".." in inner.parts or not inner.parts:
                continue
            file = archive.extractfile(member)
            assert file is not None
            place = fresh.joinpath(*inner.parts)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read())
            place.chmod(0o755 if member.mode & 0o100 else 0o644)
    (fresh / ".integrity").write_text(package.integrity)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def prune(paths: set[str]) -> None:
    """Take out what the lock does not name (any more), so that the set can also shrink."""
    for place in [*NODE_MODULES.glob("*"), *NODE_MODULES.glob("@*/*")]:
        inner = place.relative_to(NODE_MODULES).as_posix()
        if inner not in paths and not any(path.startswith(f"{inner}/") for path in paths):
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink()
