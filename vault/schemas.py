"""Request and response models: strict types, one timestamp form, no null keys on the wire.

FastAPI validates parsed JSON in pydantic's python mode, where a strict UUID or datetime refuses its own JSON
form; `Identifier` and `Timestamp` are the strict wire forms to use instead.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticUseDefault, core_schema

# Section 5.6, in either case. Python's own parser takes more of ISO 8601: week dates, hours alone, commas
_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII)
MAX_NESTING = 64
MAX_PAGE = 200
DEFAULT_PAGE = 100
MAX_OFFSET = 1_000_000


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with a `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _parse_time(value: Any) -> datetime:
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str) and _RFC_3339.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value.upper())
        except ValueError:
            raise ValueError("names a day or time that does not exist") from None
    else:
        raise ValueError("must be an RFC 3339 date and time with its offset from UTC, such as 2026-01-31T12:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None


def _parse_uuid(value: Any) -> UUID:
    if isinstance(value, UUID):
        return value
    if isinstance(value, str) and len(value) == 36:
        try:
            return UUID(value)
        except ValueError:
            pass  # the message below says it better
    raise ValueError("must be a UUID")


def _not_null(value: Any) -> Any:
    if value is None:
        raise PydanticUseDefault
    return value


Timestamp = Annotated[
    datetime,
    BeforeValidator(_parse_time),
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""RFC 3339 on the wire (an offset is required; `Z` on the way out), aware UTC inside."""

Identifier = Annotated[UUID, BeforeValidator(_parse_uuid)]
"""A UUID in its 36-character form."""


class NullIsDefault:
    """Annotate a field with this to read an explicit null as the field's default (creation bodies)."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Published as nullable, because null is taken."""
        inner = handler(source)
        return core_schema.no_info_before_validator_function(
            _not_null, inner, json_schema_input_schema=core_schema.nullable_schema(inner)
        )


@dataclass(frozen=True)
class Page:
    """Which part of a list is asked for."""

    limit: int
    offset: int


async def _page(
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
) -> Page:
    return Page(limit, offset)


PageQuery = Annotated[Page, Depends(_page)]
"""A router's parameter for `?limit=&offset=`: 1 to 200 (default 100) and 0 or more; anything else is 400."""


def refuse_unstorable(value: Any) -> None:
    """Raise ValueError for what neither JSON nor PostgreSQL can hold: NUL, lone surrogates, NaN, deep nesting."""
    level = [value]
    for _ in range(MAX_NESTING):
        if not level:
            return
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                if "\x00" in item:
                    raise ValueError("a NUL character is not allowed")
                if not item.isascii() and any("\ud800" <= char <= "\udfff" for char in item):
                    raise ValueError("text must be valid Unicode")
            elif isinstance(item, float):
                if not math.isfinite(item):
                    raise ValueError("numbers must be finite")
            elif isinstance(item, Mapping):
                below.extend(item.keys())
                below.extend(item.values())
            elif isinstance(item, list | tuple):
                below.extend(item)
        level = below
    raise ValueError(f"nested deeper than {MAX_NESTING} levels")


class StrictModel(BaseModel):
    """A request body: no type is converted ("1" is no integer), unknown keys are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, data: Any) -> Any:
        for name, value in data.items() if isinstance(data, dict) else ():
            try:
                refuse_unstorable([name, value])
            except ValueError as error:
                raise ValueError(f"{error} (in {ascii(name)[:80]})") from None
        return data


class ExactModel(StrictModel):
    """A request body in which an unknown key is refused: it could change what is signed or who may read."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)


class Reply(BaseModel):
    """A response body: optional keys without a value are left out, except those named in `keep_null`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    keep_null: ClassVar[frozenset[str]] = frozenset()

    # No return annotation: with one, pydantic would publish it as the schema instead of the model's fields.
    @model_serializer(mode="wrap")
    def _leave_out_null(self, handler: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def]
        body: dict[str, Any] = handler(self)
        return {key: value for key, value in body.items() if value is not None or key in self.keep_null}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Publish what is sent: a key that may be left out is not required, and is never null."""
        published = handler(schema)
        resolved = handler.resolve_ref_schema(published)
        for name in (field.alias or own for own, field in cls.model_fields.items()):
            if name in cls.keep_null or name not in resolved.get("properties", {}):
                continue
            said = resolved["properties"][name]
            kinds = said.get("anyOf", [])
            if {"type": "null"} not in kinds:
                continue
            kinds = [kind for kind in kinds if kind != {"type": "null"}]
            rest = {key: value for key, value in said.items() if key not in ("anyOf", "default")}
            resolved["properties"][name] = {**rest, **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})}
            if name in resolved.get("required", []):
                resolved["required"].remove(name)
        return published
