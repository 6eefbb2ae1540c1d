"""With what a back-up is opened: whatever file is named by mistake, the answer is a sentence."""

from pathlib import Path

import pyrage
import pytest

from talon.backup.envelope import Lock, sealing
from talon.cli.outcome import CommandError
from talon.cli.restore import key_for


def locked(path: Path, lock: Lock) -> Path:
    with path.open("wb") as file, sealing(file, lock) as stream:
        stream.write(b"what is in it")
    return path


def test_the_secret_half_is_found_among_what_people_keep_beside_it(tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    file = locked(tmp_path / "file", Lock(recipient=str(identity.to_public())))
    kept = tmp_path / "kept"
    kept.write_text(f"# public key: {identity.to_public()}\n\n {identity} \n{identity.to_public()}\n")
    assert key_for(file, kept, None).identities == (str(identity),)
    with pytest.raises(CommandError, match="name the file with its secret half"):
        key_for(file, None, kept)
    # the public half alone; a file that is no text
    for wrong in (f"{identity.to_public()}\n".encode(), b"\xff\xfe\x00" * 100):
        kept.write_bytes(wrong)
        with pytest.raises(CommandError, match=f"{kept} holds no age secret key"):
            key_for(file, kept, None)


def test_a_key_for_what_is_under_a_passphrase_is_said(tmp_path: Path) -> None:
    file = locked(tmp_path / "file", Lock(passphrase="correct horse battery"))
    with pytest.raises(CommandError, match="under a passphrase, not for a key"):
        key_for(file, tmp_path / "identity", None)
