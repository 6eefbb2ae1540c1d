"""The embedded HSM token: a SoftHSM token of our own, created once, with a random PIN in a 0600 file.

The PKCS#11 module is loaded in a short-lived child only, never here: no process but the signer maps it. The PIN
goes to that child through a pipe, so that it is in no argument list and no environment.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from talon.bootstrap import find_softhsm
from talon.postgres import write_secret

LABEL = "talon"
INIT_TIMEOUT_S = 60.0


class TokenError(Exception):
    """The token cannot be found or created; the text says what to do."""


@dataclass(frozen=True)
class TokenInfo:
    """Where a token is: module path, label, PIN file, and the SOFTHSM2_CONF of an embedded one."""

    module: str
    label: str
    pin_file: Path
    conf: Path | None
    lock_file: Path


def find_module() -> str:
    """The path of libsofthsm2.so; TokenError when it is not installed."""
    if found := find_softhsm():
        return found
    raise TokenError("SoftHSM2 is not installed: apt-get install softhsm2 (or set TALON_PKCS11_MODULE)")


def init_token(directory: Path, module: str | None = None, uid: int | None = None) -> TokenInfo:
    """Create the token under `directory` unless it is there; files belong to `uid` (default: ours), 0700/0600.

    The directory appears by one rename, when the token is complete.
    """
    directory = directory.absolute()
    info = TokenInfo(
        module or find_module(), LABEL, directory / "pin", directory / "softhsm2.conf", directory / "signer.lock"
    )
    if not directory.exists():
        fresh = directory.with_name(directory.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        (fresh / "tokens").mkdir(mode=0o700, parents=True)
        fresh.chmod(0o700)
        pin = secrets.token_hex(16)
        write_secret(fresh / "pin", pin)
        _write_conf(fresh, fresh)
        _create(info.module, fresh / "softhsm2.conf", pin)
        (fresh / "signer.lock").touch(mode=0o600)
        fresh.rename(directory)
    # always: it holds absolute paths, and the home may have been moved
    _write_conf(directory, directory)
    _own(directory, os.geteuid() if uid is None else uid)
    return info


def _write_conf(directory: Path, lives_in: Path) -> None:
    # syslog messages of SoftHSM hold no secrets at this level
    write_secret(
        directory / "softhsm2.conf",
        f"directories.tokendir = {lives_in / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR",
    )


def _create(module: str, conf: Path, pin: str) -> None:
    """C_InitToken and C_InitPIN in a child. The SO PIN is forgotten at once: nothing here needs that officer."""
    request = json.dumps({"module": module, "label": LABEL, "so_pin": secrets.token_hex(16), "pin": pin})
    done = subprocess.run(
        [sys.executable, "-I", str(Path(__file__).with_name("token_child.py"))],
        input=request,
        env={"SOFTHSM2_CONF": str(conf)},
        capture_output=True,
        text=True,
        timeout=INIT_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise TokenError(f"the token cannot be created: {done.stderr.strip()[-300:] or 'the module crashed'}")


def _own(directory: Path, uid: int) -> None:
    for path in (directory, *directory.rglob("*")):
        if path.lstat().st_uid != uid:
            os.chown(path, uid, uid, follow_symlinks=False)
