from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import Field, ValidationError

from vault.schemas import ExactModel, Identifier, Reply, StrictModel, Timestamp

ID = "6f1d2c3b-0000-4000-8000-000000000001"


class Body(StrictModel):
    count: int = 0
    flag: bool = False
    name: str = ""
    at: Timestamp | None = None
    id: Identifier | None = None
    extra: Annotated[dict[str, Any], Field(default_factory=dict)]


class Exact(ExactModel):
    name: str


class Answer(Reply):
    keep_null = frozenset({"kept"})

    id: UUID
    at: Timestamp | None = None
    gone: str | None = None
    kept: str | None = None
    metadata: Annotated[dict[str, Any], Field(default_factory=dict)]


@pytest.mark.parametrize(
    "body",
    [
        {"count": "1"},
        {"count": 1.0},
        {"count": True},
        {"flag": "true"},
        {"flag": 1},
        {"name": 1},
        {"name": "a\x00b"},
        {"name": "a\ud800b"},
        {"extra": {"deep": [{"a": "\x00"}]}},
        {"extra": {"\x00": 1}},
        {"extra": {"x": float("nan")}},
        {"extra": {"x": [float("inf")]}},
        {"at": 1700000000},
        {"at": "2026-01-31"},
        {"at": "2026-01-31T12:00:00"},
        {"at": "0001-01-01T00:00:00+23:00"},
        {"at": "yesterday"},
        # ISO 8601, but not RFC 3339
        {"at": "2026-W05-6T12:00:00Z"},
        {"at": "2026-031T12:00:00Z"},
        {"at": "20260131T120000Z"},
        {"at": "2026-01-31T12Z"},
        {"at": "2026-01-31T12:00Z"},
        {"at": "2026-01-31T12:00:00,5Z"},
        {"at": "2026-01-31T12:00:00+0100"},
        {"at": "2026-02-30T12:00:00Z"},
        {"at": "２０２６-01-31T12:00:00Z"},
        {"id": "6f1d2c3b000040008000000000000001"},
        {"id": "urn:uuid:" + ID},
        {"id": 5},
    ],
)
def test_nothing_is_converted_and_nothing_unstorable_passes(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Body.model_validate(body)


def test_nesting_is_bounded() -> None:
    deep: Any = "x"
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ValidationError, match="nested deeper"):
        Body.model_validate({"extra": {"deep": deep}})


def test_times_and_ids_are_read_from_their_wire_form() -> None:
    body = Body.model_validate({"at": "2026-01-31T13:00:00+01:00", "id": ID.upper(), "unknown": 1})
    assert body.at == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert str(body.id) == ID
    for text in ("2026-01-31t12:00:00z", "2026-01-31 12:00:00Z", "2026-01-31T12:00:00.000-00:00"):
        assert Body.model_validate({"at": text}).at == body.at


def test_an_exact_body_refuses_unknown_keys() -> None:
    with pytest.raises(ValidationError, match="tx_max_valu_eth"):
        Exact.model_validate({"name": "a", "tx_max_valu_eth": "1"})


def test_a_refused_value_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as refused:
        Body.model_validate({"count": "hunter2-secret"})
    assert "hunter2" not in str(refused.value)


def test_a_reply_leaves_out_null_keys_but_not_what_a_client_stored() -> None:
    answer = Answer(id=UUID(ID), at=datetime(2026, 1, 31, 12, tzinfo=UTC), metadata={"null": None})
    assert answer.model_dump(mode="json") == {
        "id": ID,
        "at": "2026-01-31T12:00:00Z",
        "kept": None,
        "metadata": {"null": None},
    }


def test_the_published_schema_of_a_reply_still_has_its_fields() -> None:
    assert {"id", "at", "gone"} <= Answer.model_json_schema(mode="serialization")["properties"].keys()
