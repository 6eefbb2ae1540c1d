"""The embedded token: made once, private, by a process that is gone before anybody looks."""

import stat
import subprocess
from pathlib import Path

import pytest

from talon.token import TokenError, init_token


def files(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_it_is_made_once_and_then_left_alone(tmp_path: Path) -> None:
    info = init_token(tmp_path / "token")
    before = files(tmp_path)
    assert init_token(tmp_path / "token") == info
    assert files(tmp_path) == before
    assert info.conf is not None
    shown = subprocess.run(
        ["softhsm2-util", "--show-slots", "--module", info.module],
        env={"SOFTHSM2_CONF": str(info.conf), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    assert shown.count("talon ") == 1
    assert "User PIN init.:   yes" in shown


def test_only_its_owner_can_look_into_it(tmp_path: Path) -> None:
    init_token(tmp_path / "token")
    for path in (tmp_path / "token", *(tmp_path / "token").rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_the_pin_has_128_random_bits_and_differs(tmp_path: Path) -> None:
    pins = {init_token(tmp_path / name).pin_file.read_text().strip() for name in ("one", "two")}
    assert len(pins) == 2
    assert all(len(bytes.fromhex(pin)) == 16 for pin in pins)


def test_this_process_never_loads_the_module(tmp_path: Path) -> None:
    init_token(tmp_path / "token")
    assert "libsofthsm2" not in Path("/proc/self/maps").read_text()


def test_an_unusable_module_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TokenError):
        init_token(tmp_path / "token", module="/usr/lib/nonexistent.so")
    assert not (tmp_path / "token").exists()
    init_token(tmp_path / "token")
