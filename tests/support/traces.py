"""Look for traces of a key: any 8 bytes in a row of it, raw, in hex or in base64, in files, memory or traffic."""

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path

RUN = 8
CHUNK = 1 << 24


def patterns(key: bytes) -> list[bytes]:
    """Byte strings of which at least one occurs wherever 8 consecutive bytes of `key` occur in a known encoding."""
    windows = [key[i : i + RUN] for i in range(len(key) - RUN + 1)]
    found = set(windows)
    for window in windows:
        found |= {window.hex().encode(), window.hex().upper().encode()}
    # Base64 works in groups of three bytes: a run of eight holds two whole groups, whatever its alignment
    for shift in range(3):
        body = key[shift:]
        for i in range(0, len(body) - 5, 3):
            six = body[i : i + 6]
            if len(six) == 6:
                found |= {base64.b64encode(six), base64.urlsafe_b64encode(six)}
    return sorted(found)


def scan_bytes(data: bytes, needles: Iterable[bytes]) -> list[bytes]:
    """The needles that occur in `data`."""
    return [needle for needle in needles if needle in data]


def scan_file(path: Path, needles: list[bytes]) -> list[bytes]:
    """The needles that occur in a file, read in overlapping chunks."""
    overlap = max(map(len, needles))
    hits: set[bytes] = set()
    with path.open("rb") as file:
        tail = b""
        while chunk := file.read(CHUNK):
            hits.update(scan_bytes(tail + chunk, needles))
            tail = chunk[-overlap:]
    return sorted(hits)


def scan_tree(root: Path, needles: list[bytes]) -> dict[str, list[bytes]]:
    """Hits by file below `root`; files that vanish meanwhile (temporary ones of the database) are passed over."""
    found = {}
    for path in sorted(root.rglob("*")):
        try:
            if path.is_file() and not path.is_symlink() and (hits := scan_file(path, needles)):
                found[str(path)] = hits
        except FileNotFoundError:
            continue
    return found


def regions(pid: int) -> Iterator[tuple[int, int]]:
    """The readable, private memory regions of a process: where its data can be."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, modes, *rest = line.split(maxsplit=5)
        if modes.startswith("r") and "w" in modes and not (rest and rest[-1].startswith(("[vvar", "[vsyscall"))):
            start, end = span.split("-")
            yield int(start, 16), int(end, 16)


def scan_memory(pid: int, needles: list[bytes]) -> list[bytes]:
    """The needles that occur in the memory of a process."""
    hits: set[bytes] = set()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for start, end in regions(pid):
            position = start
            while position < end:
                try:
                    memory.seek(position)
                    data = memory.read(min(CHUNK, end - position))
                except OSError:
                    break
                if not data:
                    break
                hits.update(scan_bytes(data, needles))
                position += len(data)
    return sorted(hits)
