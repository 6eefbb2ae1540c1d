"""Where a passphrase comes from: a file or a terminal, and never from anywhere that others see."""

import io
import os
from pathlib import Path

import pytest

from talon.cli import passphrase
from talon.cli.outcome import CommandError

LONG = "a passphrase of some length"


def test_the_first_line_of_a_file_counts(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for text in (LONG, f"{LONG}\n", f"{LONG}\nand more\n"):
        file.write_text(text)
        assert passphrase.known_passphrase(file) == LONG
        assert passphrase.new_passphrase(file) == LONG
    reading, writing = os.pipe()
    os.write(writing, f"{LONG}\n".encode())
    os.close(writing)
    assert passphrase.known_passphrase(Path(f"/dev/fd/{reading}")) == LONG
    os.close(reading)


@pytest.mark.parametrize("text", [b"", b"\n", b"x" * 1_100, b"\xff\xfe\xfd"])
def test_what_is_no_passphrase_is_refused(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(text)
    with pytest.raises(CommandError):
        passphrase.known_passphrase(file)
    with pytest.raises(CommandError, match="cannot be read: No such file or directory"):
        passphrase.known_passphrase(tmp_path / "none")


def test_a_new_one_is_long_and_typed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "short").write_text("only 11 cha")
    with pytest.raises(CommandError, match="at least 12"):
        passphrase.new_passphrase(tmp_path / "short")
    # an old one may be what it is
    assert passphrase.known_passphrase(tmp_path / "short") == "only 11 cha"

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    typed: list[str] = []
    monkeypatch.setattr("getpass.getpass", lambda _prompt: typed.pop(0))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(CommandError, match="no terminal"):
        passphrase.new_passphrase(None)
    monkeypatch.setattr("sys.stdin", Terminal())
    typed[:] = [LONG, LONG]
    assert passphrase.new_passphrase(None) == LONG
    typed[:] = [LONG, f"{LONG}!"]
    with pytest.raises(CommandError, match="not the same"):
        passphrase.new_passphrase(None)
