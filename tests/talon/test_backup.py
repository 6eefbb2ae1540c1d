"""The file of a back-up: whole or not there, and each way in which it can be wrong told apart in one sentence."""

import io
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from talon.backup import files, swap
from talon.backup.archive import PIECE_BYTES, Reader, Writer
from talon.backup.envelope import DAMAGED, Key, Lock, opening, sealing
from talon.backup.errors import BackupError
from talon.backup.make import whole_file
from talon.backup.manifest import Manifest, require_known, require_same_parts

PASSPHRASE = "a passphrase of some length"
MANIFEST = Manifest(
    talon="0.1.0",
    instance_id="3f0e8f0e-3f5c-4b0e-9d64-000000000000",
    revision="0014",
    epoch=7,
    made_at="2026-11-28T00:00:00+00:00",
    tables={"public.users": ["id", "email"]},
    sequences={"public.users_sequence_seq": (3, True)},
    has_token=True,
    has_chain=False,
    absent=[],
)


def made(lock: Lock, parts: dict[str, bytes], *, finish: bool = True, manifest: Manifest = MANIFEST) -> bytes:
    file = io.BytesIO()
    with sealing(file, lock) as stream:
        writer = Writer(stream, manifest)
        for name, data in parts.items():
            assert writer.part(name, [data[:100], data[100:]]) == len(data)
        if finish:
            writer.finish()
        else:
            writer._tar.close()
    return file.getvalue()


def opened(raw: bytes, key: Key) -> tuple[Manifest, dict[str, bytes]]:
    with opening(io.BytesIO(raw), key) as stream:
        reader = Reader(stream)
        found: dict[str, bytes] = {}
        for name, number, data in reader.pieces():
            assert (number == 0) == (name not in found)
            found[name] = found.get(name, b"") + data
        reader.require_whole()
    return reader.manifest, found


@pytest.fixture(scope="module")
def identity() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


@pytest.fixture(scope="module")
def parts() -> dict[str, bytes]:
    return {"database/public.users": os.urandom(2 * PIECE_BYTES + 17), "token/pin": b"x" * 32, "token/empty": b""}


@pytest.fixture(scope="module")
def locked(parts: dict[str, bytes]) -> bytes:
    """Under the passphrase, which takes the library seconds on purpose."""
    return made(Lock(passphrase=PASSPHRASE), parts)


def test_what_goes_in_comes_out(identity: pyrage.x25519.Identity, parts: dict[str, bytes], locked: bytes) -> None:
    raw = made(Lock(recipient=str(identity.to_public())), parts)
    for data, key in ((raw, Key(identities=(str(identity),))), (locked, Key(passphrase=PASSPHRASE))):
        assert opened(data, key) == (MANIFEST, parts)
        assert PASSPHRASE.encode() not in data
        assert b"xxxxxxxx" not in data
    # with the library alone, when Talon is not at hand: one line, then an age file
    assert pyrage.decrypt(raw.split(b"\n", 1)[1], [identity])[:13] == b"manifest.json"


def test_each_fault_has_its_sentence(
    identity: pyrage.x25519.Identity, parts: dict[str, bytes], locked: bytes
) -> None:
    raw = made(Lock(recipient=str(identity.to_public())), parts)
    key, other = Key(identities=(str(identity),)), Key(identities=(str(pyrage.x25519.Identity.generate()),))
    flipped = bytearray(raw)
    flipped[len(raw) // 2] ^= 1
    nothing = "this is no back-up of Talon's"
    cases: list[tuple[bytes, Key, str]] = [
        (b"", key, nothing),
        (b"\x1f\x8b" + os.urandom(3_000), key, nothing),
        (b"{}\n", key, nothing),
        (b'{"format": "talon-backup", "identity": 5}\n', Key(passphrase=PASSPHRASE), DAMAGED),
        (raw, other, "none of these keys opens this back-up"),
        (raw, Key(), "this back-up is for a key: name the file with its secret half (--identity)"),
        (locked, Key(passphrase="another passphrase"), "this is not the passphrase of this back-up"),
        (locked, key, "this back-up is locked under a passphrase"),
        (bytes(flipped), key, DAMAGED),
        (raw + b"x", key, DAMAGED),
        (made(Lock(recipient=str(identity.to_public())), parts, finish=False), key, DAMAGED),
        *(
            (raw[:length], key, DAMAGED)
            for length in (20, 200, 70_000, len(raw) // 2, len(raw) - 70_000, len(raw) - 1)
        ),
    ]
    for number, (data, with_key, sentence) in enumerate(cases):
        with pytest.raises(BackupError) as refused:
            opened(data, with_key)
        assert str(refused.value) == sentence, number


def test_a_newer_version_and_a_token_that_is_elsewhere_are_told_before_anything_is_taken() -> None:
    newer = Manifest(**{**vars(MANIFEST), "format": 2, "talon": "9.0.0"})
    with pytest.raises(BackupError, match=r"made by Talon 9.0.0, in a form that is newer"):
        Manifest.read(newer.text())
    with pytest.raises(BackupError, match=r"the newer Talon 0.1.0 \(database revision 0014\); this is 0.0.9"):
        require_known(MANIFEST, frozenset({"0013"}), "0.0.9")
    with pytest.raises(BackupError, match="brings its token along"):
        require_same_parts(MANIFEST, token_is_external=True)
    with pytest.raises(BackupError, match="without its token"):
        require_same_parts(Manifest(**{**vars(MANIFEST), "has_token": False}), token_is_external=False)
    for nothing in (b"", b"[]", b"{}", b'{"format": 1}', b'{"format": "1"}'):
        with pytest.raises(BackupError, match="no back-up of Talon's"):
            Manifest.read(nothing)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "file"

    def broken_off() -> None:
        with whole_file(target) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken_off()
    assert list(tmp_path.iterdir()) == []
    # left by one that was killed, and longer
    (tmp_path / ".file.partial").write_bytes(b"x" * 1_000)
    with whole_file(target) as file:
        file.write(b"whole")
        assert not target.exists()
        with pytest.raises(BackupError, match="being made by somebody else"), whole_file(target):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert target.read_bytes() == b"whole"
    assert target.stat().st_mode & 0o777 == 0o600
    with pytest.raises(BackupError, match="is there already"), whole_file(target):
        pass


def test_a_full_disk_is_no_back_up(tmp_path: Path, identity: pyrage.x25519.Identity, parts: dict[str, bytes]) -> None:
    def limited(work: Callable[[], None]) -> int:
        if (child := os.fork()) == 0:
            # a file system that is full at 1 MB; the signal that goes with the limit is Python's to ignore
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
            try:
                work()
            except OSError:
                os._exit(3)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def make() -> None:
        with (
            whole_file(tmp_path / "file") as file,
            sealing(file, Lock(recipient=str(identity.to_public()))) as stream,
        ):
            writer = Writer(stream, MANIFEST)
            for name, data in parts.items():
                writer.part(name, [data])
            writer.finish()

    assert limited(make) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../pin", "/etc/passwd", "a/../../b", ""])
def test_no_part_leads_out_of_its_place(tmp_path: Path, name: str) -> None:
    with pytest.raises(BackupError):
        files.place(tmp_path, name)


def test_a_home_takes_its_place_by_one_rename(tmp_path: Path) -> None:
    home, fresh, aside = tmp_path / "home", tmp_path / "fresh", tmp_path / "aside"

    def new(text: str) -> None:
        fresh.mkdir()
        (fresh / "who").write_text(text)

    new("first")
    swap.into_place(fresh, home, aside)
    assert (home / "who").read_text() == "first"
    new("second")
    swap.into_place(fresh, home, aside)
    assert ((home / "who").read_text(), (aside / "who").read_text()) == ("second", "first")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aside", "home"]
