"""The Python packages: a virtual environment that holds the product, filled by tools that live in another one."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from talon.bootstrap.places import PACKAGES, ROOT, TOOLS, VENV
from talon.bootstrap.steps import run, say, succeeds

# uv and packageurl with pip: only the set-up needs them
SETUP_VENV = TOOLS / "setup"
SETUP_PYTHON = SETUP_VENV / "bin" / "python"
# importing what the processes run leaves the bytecode of all that they import, and of nothing else
ENTRIES = (
    "talon.cli.main",
    "talon.supervisor",
    "talon.api",
    "talon.worker",
    "talon.demo",
    "signer.__main__",
    "sqlalchemy.dialects.postgresql.psycopg",
    "psycopg_pool",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
)
# what pip is told about registries, and by which name uv knows it
PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "trusted-host": "UV_INSECURE_HOST"}


def make_setup_tools(authorities: Mapping[str, str]) -> None:
    """The environment of the set-up's own tools, hash-pinned like all others."""
    wanted = (ROOT / "requirements-setup.txt").read_text()
    stamp = SETUP_VENV / "stamp"
    if stamp.exists() and stamp.read_text() == wanted and is_ours(SETUP_PYTHON):
        return
    shutil.rmtree(SETUP_VENV, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(SETUP_VENV)])
    pip = [str(SETUP_PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    run([*pip, "--require-hashes", "-r", "requirements-setup.txt"], authorities)
    stamp.write_text(wanted)


def pip_settings() -> dict[str, str]:
    """pip's configuration, from its files and the environment, by the last part of each name."""
    said = run([str(SETUP_PYTHON), "-m", "pip", "--disable-pip-version-check", "config", "list"])
    return parse_pip_settings(said)


def parse_pip_settings(said: str) -> dict[str, str]:
    """`global.index-url='…'` lines as a dictionary; for pip, too, the environment comes last and wins."""
    found: dict[str, str] = {}
    for line in said.splitlines():
        name, separator, value = line.partition("=")
        if separator and value[:1] in {"'", '"'}:
            found[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    return found


def uv_environment(settings: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """What uv has to be told so that it goes where pip would go; what is set for uv itself stays."""
    told = {uv: " ".join(settings[pip].split()) for pip, uv in PIP_TO_UV.items() if settings.get(pip, "").strip()}
    if settings.get("proxy"):
        told |= {"HTTPS_PROXY": settings["proxy"], "HTTP_PROXY": settings["proxy"]}
    told |= {"UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_CONFIG": "1"}
    # a cache on another file system is copied from, which is no news
    told["UV_LINK_MODE"] = "hardlink"
    return {name: value for name, value in told.items() if not given.get(name)}


def make_venv() -> None:
    """A virtual environment of this checkout; remade when its interpreter is gone or of another version."""
    if is_ours(VENV / "bin" / "python"):
        return
    shutil.rmtree(VENV, ignore_errors=True)
    say(f"making .venv with Python {sys.version_info.major}.{sys.version_info.minor}")
    run([sys.executable, "-m", "venv", "--without-pip", str(VENV)])


def is_ours(python: Path) -> bool:
    """Whether this interpreter is there, runs, and is of the version that runs us."""
    ask = [str(python), "-I", "-c", "import sys; print(*sys.version_info[:2])"]
    if not python.exists():
        return False
    said = subprocess.run(ask, capture_output=True, text=True, timeout=30, check=False)
    return said.stdout.split() == [str(part) for part in sys.version_info[:2]]


def install_packages(requirements: str, authorities: Mapping[str, str], settings: Mapping[str, str]) -> None:
    """Make the environment hold exactly these packages, and compile what will run.

    Compiled now, because the processes that run under other uids cannot write here.
    """
    make_venv()
    say(f"installing the Python packages ({requirements}, hash-pinned)")
    environment = {**uv_environment(settings, os.environ), **authorities}
    python = str(VENV / "bin" / "python")
    sync = [str(SETUP_VENV / "bin" / "uv"), "pip", "sync", "--quiet", "--python", python]
    run([*sync, "--require-hashes", requirements], environment)
    run([python, "-m", "compileall", "-q", *PACKAGES])
    # a module that does not import here says so better when it is run
    succeeds([python, "-c", f"import {', '.join(ENTRIES)}"])
