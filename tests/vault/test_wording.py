"""Faults in words: every kind that our models can meet, from the validator itself."""

from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vault.problems import describe


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    to: str


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    text: Annotated[str, Field(min_length=1, max_length=3, pattern="^[a-z]*$")] = "a"
    long: Annotated[str, Field(min_length=8)] = "abcdefgh"
    whole: Annotated[int, Field(ge=1, le=9)] = 1
    open_range: Annotated[float, Field(gt=0, lt=1)] = 0.5
    flag: bool = False
    one_of: Literal["a", "b"] = "a"
    some: Annotated[list[int], Field(min_length=1, max_length=2)] = Field(default_factory=lambda: [1])
    inner: list[Inner] = Field(default_factory=list)
    id: UUID | None = None
    never: Literal[False] = False


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"text": 1}, "text", "must be text"),
        ({"text": ""}, "text", "must not be empty"),
        ({"text": "abcd"}, "text", "must have at most 3 characters"),
        ({"text": "A"}, "text", "does not have the form that is asked for"),
        ({"long": "abc"}, "long", "must have at least 8 characters"),
        ({"whole": "1"}, "whole", "must be a whole number"),
        ({"whole": 1.5}, "whole", "must be a whole number"),
        ({"whole": 0}, "whole", "must be at least 1"),
        ({"whole": 10}, "whole", "must be at most 9"),
        ({"open_range": 0.0}, "open_range", "must be above 0.0"),
        ({"open_range": 1.0}, "open_range", "must be below 1.0"),
        ({"open_range": "x"}, "open_range", "must be a number"),
        ({"flag": 1}, "flag", "must be true or false"),
        ({"one_of": "c"}, "one_of", "must be 'a' or 'b'"),
        ({"never": True}, "never", "must be false"),
        ({"some": "x"}, "some", "must be a list"),
        ({"some": []}, "some", "must not be empty"),
        ({"some": [1, 2, 3]}, "some", "must have at most 2 entries"),
        ({"some": ["x"]}, "some.0", "must be a whole number"),
        ({"inner": [{}]}, "inner.0.to", "missing"),
        ({"inner": [1]}, "inner.0", "must be a JSON object"),
        ({"wrong": 1}, "wrong", "unknown field"),
        ({"id": "x"}, "id", "is not what is asked for here"),
    ],
)
def test_a_fault_names_the_field_and_what_is_asked_for(body: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Body.model_validate(body)
    problem = describe([{**fault, "loc": ("body", *fault["loc"])} for fault in refused.value.errors()])
    assert problem.extra["fields"] == {field: words}
    assert problem.detail == f"{field}: {words}"
