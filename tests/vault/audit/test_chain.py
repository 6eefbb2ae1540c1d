import dataclasses
import hashlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.audit_chain import Event, Seal, hash_of, microseconds, moment_of, seal
from signer.audit_message import head_message
from vault.audit.chain import MAX_FINDINGS, Head, verify

ORG = UUID("11111111-1111-4111-8111-111111111111")
EVENT = Event(
    id=UUID("22222222-2222-4222-8222-222222222222"),
    sequence=7,
    org_id=ORG,
    actor_type="user",
    actor_id="a|b",
    action="secret.read",
    resource_type="secret",
    resource_id="r",
    details={"b": 1, "a": "é"},
    ip_address=None,
    created_at=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
)


def test_the_encoding_is_the_documented_one() -> None:
    encoded = (
        '["talon/audit-event/v1",3,"ab","22222222-2222-4222-8222-222222222222",7,'
        '"11111111-1111-4111-8111-111111111111","user","a|b","secret.read","secret","r",'
        '{"a":"\\u00e9","b":1},null,1767323045000006]'
    )
    assert hash_of(EVENT, 3, "ab") == hashlib.sha256(encoded.encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"id": uuid4()},
        {"sequence": 8},
        {"org_id": uuid4()},
        {"actor_type": "agent"},
        {"actor_id": "a"},
        {"actor_id": "a|b|secret.read", "action": ""},
        {"action": "secret.write"},
        {"resource_type": "r", "resource_id": "secret"},
        {"resource_id": "R"},
        {"details": {"b": True, "a": "é"}},
        {"details": {"b": 1.0, "a": "é"}},
        {"details": {"b": "1", "a": "é"}},
        {"details": {}},
        {"ip_address": ""},
        {"ip_address": "null"},
        {"created_at": EVENT.created_at + timedelta(microseconds=1)},
    ],
)
def test_every_column_counts(change: dict[str, Any]) -> None:
    assert hash_of(dataclasses.replace(EVENT, **change), 1, None) != hash_of(EVENT, 1, None)


def test_place_and_predecessor_count_and_spelling_does_not() -> None:
    assert (
        len({hash_of(EVENT, 1, None), hash_of(EVENT, 2, None), hash_of(EVENT, 1, "a"), hash_of(EVENT, 1, "b")}) == 4
    )
    elsewhere = EVENT.created_at.astimezone(timezone(timedelta(hours=5)))
    same = dataclasses.replace(EVENT, created_at=elsewhere, details={"a": "é", "b": 1})
    assert hash_of(same, 1, None) == hash_of(EVENT, 1, None)
    assert moment_of(microseconds(elsewhere)) == EVENT.created_at


def _chain(count: int) -> list[tuple[Seal, Event | None]]:
    chain: list[tuple[Seal, Event | None]] = []
    last = None
    for number in range(count):
        event = dataclasses.replace(EVENT, id=uuid4(), sequence=number)
        last = seal(event, last)
        chain.append((last, event))
    return chain


def _head(key: Ed25519PrivateKey, found: Seal, org_id: UUID = ORG) -> Head:
    at = EVENT.created_at
    message = head_message(org_id, found.position, found.integrity_hash, microseconds(at))
    return Head(org_id, found.position, found.integrity_hash, "k", key.sign(message), at)


def test_a_chain_and_its_heads_hold_and_findings_are_bounded() -> None:
    key = Ed25519PrivateKey.generate()
    keys = {"k": key.public_key().public_bytes_raw()}
    chain = _chain(300)
    assert [found.position for found, _ in chain] == list(range(1, 301))
    assert chain[0][0].prev_event_id is None
    heads = [_head(key, chain[at][0]) for at in (0, 99, 299)]
    assert verify(ORG, chain, heads, keys).count == 0
    assert verify(ORG, [], [], {}).count == 0
    foreign = verify(ORG, chain, [_head(key, chain[5][0], uuid4())], keys)
    assert [each.kind for each in foreign.listed] == ["forged_head"]
    gone = verify(ORG, [(found, None) for found, _ in chain], heads, keys)
    assert gone.count == 300
    assert len(gone.listed) == MAX_FINDINGS
