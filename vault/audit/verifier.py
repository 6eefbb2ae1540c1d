"""`python -m vault.audit.verifier EXPORT… [--head FILE] [--keys FILE]`: does an exported audit chain hold?

For an auditor, away from the server: finds events that were edited, deleted, exchanged or moved, a chain that was cut
or rewritten after a head was signed, and heads that the HSM did not sign. Reads files (several in their order are one
chain), opens no connection. Exit status 0: it holds; 1: it does not, or the files are no whole export; 2: wrong use.

Without `--keys` or `--head`, heads are checked with the keys of the export itself, which proves no more than that it
agrees with itself: keep the keys, and a head, somewhere the server cannot reach.
"""

import argparse
import base64
import binascii
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from signer.audit_chain import Event, Seal
from vault.audit.chain import Findings, Head, Walk, check_head

MAX_LINE: Final = 16 * 1024 * 1024
LATE: Final = timedelta(seconds=60)
MISSHAPEN: Final = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, binascii.Error)


@dataclass
class Claims:
    """What exports and kept files say about heads and keys, before any of it is believed."""

    heads: list[Head] = field(default_factory=list)
    records: list[tuple[int, str]] = field(default_factory=list)
    keys: list[tuple[str, bytes]] = field(default_factory=list)


@dataclass
class Report:
    """What an examination came to."""

    org_id: UUID | None
    findings: Findings
    checked: int = 0
    first: int = 1
    last: int = 0
    heads: int = 0
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "valid": self.findings.count == 0,
            "org_id": self.org_id,
            "checked": self.checked,
            "from_position": self.first,
            "to_position": self.last,
            "heads": self.heads,
            "findings": [vars(each) for each in self.findings.listed],
            "findings_count": self.findings.count,
            "notes": self.notes,
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        for each in self.findings.listed:
            where = f" at position {each.position}" if each.position is not None else ""
            which = f" (event {each.event_id})" if each.event_id else ""
            yield f"{each.kind}{where}: {each.detail}{which}"
        if self.findings.count > len(self.findings.listed):
            yield f"… and {self.findings.count - len(self.findings.listed)} more"
        yield from (f"note: {note}" for note in self.notes)
        verdict = "holds" if self.findings.count == 0 else f"DOES NOT HOLD ({self.findings.count} findings)"
        yield f"{self.checked} events, positions {self.first} to {self.last}, {self.heads} heads: the chain {verdict}"


def examine(
    exports: Sequence[Path],
    kept: Sequence[Path] = (),
    pinned: Sequence[Path] = (),
    *,
    partial: bool = False,
) -> Report:
    """Check one chain in one or more files; OSError when a file cannot be read."""
    claimed, trusted, earlier = Claims(), Claims(), Claims()
    findings = Findings()
    for path in exports:
        _collect(
            claimed, (line for line in _lines(path, findings) if line.get("type") not in ("event", "seal")), findings
        )
    # a file that was given to compare with and has nothing to compare must not look like a comparison
    for path in kept:
        before = len(earlier.heads)
        _collect(earlier, _documents(path, findings), findings)
        if len(earlier.heads) == before:
            findings.add("malformed", f"{path.name} holds no head")
    for path in pinned:
        before = len(trusted.keys)
        _collect(trusted, _documents(path, findings), findings)
        if len(trusted.keys) == before:
            findings.add("malformed", f"{path.name} holds no key")
    walked = _Walked(findings, _by_position([*claimed.heads, *earlier.heads]), claimed.records)
    for path in exports:
        walked.file(path)
    report = Report(walked.walk.org_id if walked.walk else None, findings)
    if walked.walk is None:
        findings.add("malformed", "no export: the line that begins one is missing")
        return report
    walk = walked.walk
    report.checked, report.first, report.last = walk.checked, walked.first, walk.last.position if walk.last else 0
    keys = _keys(claimed, trusted, earlier, report)
    for head in [*claimed.heads, *earlier.heads]:
        report.heads += 1
        if head.position < walked.first or (partial and head.position > report.last):
            continue
        if fault := check_head(head, walk.org_id, keys, walked.hashes.get(head.position)):
            findings.add(fault.kind, fault.detail, fault.position)
    for position, integrity_hash in claimed.records:
        found = walked.hashes.get(position)
        if found != integrity_hash and position >= walked.first and not (partial and position > report.last):
            kind = "truncated" if found is None else "rolled_back"
            findings.add(kind, "the signer signed another head here, by its own record", position)
    walked.finish(report, partial=partial)
    return report


class _Walked:
    """Goes through the files in order and remembers the hashes at the positions somebody claims something about."""

    def __init__(
        self, findings: Findings, heads: Mapping[int, list[Head]], records: Iterable[tuple[int, str]]
    ) -> None:
        self._findings = findings
        self._wanted = {*heads, *(position for position, _ in records)}
        self.walk: Walk | None = None
        self.hashes: dict[int, str] = {}
        self.first = 1
        self._ended: dict[str, Any] | None = None
        self._exported_at: datetime | None = None

    def file(self, path: Path) -> None:
        """Walk along one file's events."""
        self._ended = None
        for line in _lines(path, None):
            try:
                self._line(line)
            except MISSHAPEN:
                self._findings.add(
                    "malformed", f"a line of type {str(line.get('type'))[:20]!r} is not as it should be"
                )
        if self._ended is None:
            self._findings.add("malformed", f"{path.name} has no last line: the download was cut off")

    def _line(self, line: dict[str, Any]) -> None:
        kind = line.get("type")
        if kind == "export":
            self._begin(line)
        elif kind in ("event", "seal") and self.walk is not None:
            seal = _seal(line)
            self.walk.step(seal, _event(line) if kind == "event" else None)
            if seal.position in self._wanted:
                self.hashes[seal.position] = seal.integrity_hash
        elif kind == "unsealed" and self._exported_at is not None:
            event = _event(line)
            if abs(self._exported_at - event.created_at) > LATE:
                self._findings.add("unsealed", "an event without a seal for over a minute", event_id=event.id)
        elif kind == "end":
            self._ended = line

    def _begin(self, line: dict[str, Any]) -> None:
        org_id, previous = UUID(line["org_id"]), line["previous"]
        self._exported_at = _time(line["exported_at"])
        if self.walk is None:
            last = _seal(previous) if previous else None
            # not what the file says of itself: heads before it are not held against the chain
            self.first = 1 if last is None else last.position + 1
            self.walk = Walk(org_id, last)
            self.walk.findings = self._findings
            if int(line["from_position"]) != self.first:
                self._findings.add("malformed", f"the export does not begin where it says, but at {self.first}")
        elif org_id != self.walk.org_id:
            self._findings.add("malformed", "the files are of different organisations")
        elif previous and self.walk.last is not None and _seal(previous) != self.walk.last:
            self._findings.add("rolled_back", "the files do not continue each other", self.walk.last.position)

    def finish(self, report: Report, *, partial: bool) -> None:
        """Say what the files leave open."""
        if self.first > 1:
            report.notes.append(f"what lies before position {self.first} was not checked")
        following = self._ended.get("next_position") if self._ended else None
        if following is not None and not partial:
            self._findings.add("incomplete", f"the export goes on at {following}: add the next file, or --partial")
        if not report.heads:
            report.notes.append("no head at all: nothing shows that the end of the chain was not cut off")


def _keys(claimed: Claims, trusted: Claims, earlier: Claims, report: Report) -> dict[str, bytes]:
    """The keys to believe: those kept elsewhere where there are any, else the export's own."""
    known, shown = dict(earlier.keys + trusted.keys), dict(claimed.keys)
    for kid, key in claimed.keys:
        if key != known.get(kid, shown[kid]):
            report.findings.add("wrong_key", f"the export shows another key {kid} than was kept, or two of them")
    if known:
        return known
    report.notes.append(
        "heads were checked with the export's own keys; compare them with the operator's: "
        + (", ".join(f"{kid} {base64.b64encode(key).decode()}" for kid, key in shown.items()) or "none")
    )
    return shown


def _collect(claims: Claims, lines: Iterable[dict[str, Any]], findings: Findings) -> None:
    for line in lines:
        try:
            if "signature" in line:
                claims.heads.append(_head(line))
            elif "public_key_base64" in line:
                claims.keys.append((str(line["kid"]), base64.b64decode(line["public_key_base64"], validate=True)))
            elif line.get("type") == "record":
                claims.records.append((int(line["position"]), str(line["integrity_hash"])))
        except MISSHAPEN:
            findings.add("malformed", "a head, key or record that cannot be read")


def _by_position(heads: Iterable[Head]) -> dict[int, list[Head]]:
    found: dict[int, list[Head]] = {}
    for head in heads:
        found.setdefault(head.position, []).append(head)
    return found


def _lines(path: Path, findings: Findings | None) -> Iterator[dict[str, Any]]:
    """JSON objects, one a line; whatever else there is becomes a finding (the first time the file is read)."""
    with path.open("rb") as file:
        while raw := file.readline(MAX_LINE):
            try:
                line = json.loads(raw)
            except (ValueError, RecursionError):
                line = None
            if isinstance(line, dict):
                yield line
            elif findings is not None and raw.strip():
                findings.add("malformed", f"{path.name} has a line that is no JSON object")


def _documents(path: Path, findings: Findings) -> Iterator[dict[str, Any]]:
    """What an auditor kept: an earlier export, an answer of /v1/audit/verify or /v1/audit/keys, or a head alone."""
    try:
        whole = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        yield from (line for line in _lines(path, findings) if line.get("type") in ("head", "key"))
        return
    if isinstance(whole, dict):
        inner = [whole.get("head"), *(whole.get("keys") or []), whole]
        yield from (each for each in inner if isinstance(each, dict))


def _time(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("a time without its offset")
    return moment


def _event(line: dict[str, Any]) -> Event:
    names = ("actor_type", "actor_id", "action", "resource_type", "resource_id", "details", "ip_address")
    return Event(
        id=UUID(line["id"]),
        sequence=line["sequence"],
        org_id=UUID(line["org_id"]),
        created_at=_time(line["created_at"]),
        **{name: line[name] for name in names},
    )


def _seal(line: dict[str, Any]) -> Seal:
    previous = line["prev_event_id"]
    return Seal(
        int(line["position"]),
        UUID(line["event_id"]),
        None if previous is None else UUID(previous),
        str(line["integrity_hash"]),
    )


def _head(line: dict[str, Any]) -> Head:
    return Head(
        org_id=UUID(line["org_id"]),
        position=int(line["position"]),
        integrity_hash=str(line["integrity_hash"]),
        kid=str(line["kid"]),
        signature=base64.b64decode(line["signature"], validate=True),
        signed_at=_time(line["signed_at"]),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """0: the chain holds; 1: it does not."""
    parser = argparse.ArgumentParser(
        prog="python -m vault.audit.verifier", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("export", type=Path, nargs="+", help="what GET /v1/audit/export gave, in order")
    parser.add_argument(
        "--head", type=Path, action="append", default=[], help="a head, or an export, kept from earlier"
    )
    parser.add_argument(
        "--keys", type=Path, action="append", default=[], help="GET /v1/audit/keys, kept from earlier"
    )
    parser.add_argument("--partial", action="store_true", help="the chain goes on after the last file")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    chosen = parser.parse_args(arguments)
    try:
        report = examine(chosen.export, chosen.head, chosen.keys, partial=chosen.partial)
    except OSError as error:
        parser.error(f"cannot read {error.filename}: {error.strerror}")
    said = [json.dumps(report.as_json(), default=str)] if chosen.json else report.lines()
    sys.stdout.write("".join(f"{line}\n" for line in said))
    return 0 if report.findings.count == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
