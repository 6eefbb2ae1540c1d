"""What is wrong with a field, in words for the person who sent it. [pure]

The validator's own sentences speak of its types ("Input should be a valid string"); these speak of the request.
"""

from collections.abc import Mapping
from typing import Any, Final

_PLAIN: Final[Mapping[str, str]] = {
    "missing": "missing",
    "extra_forbidden": "unknown field",
    "json_invalid": "the body is not valid JSON",
    "string_type": "must be text",
    "string_unicode": "must be valid Unicode text",
    "string_pattern_mismatch": "does not have the form that is asked for",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "is too large a number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "uuid_type": "must be a UUID, the `id` in an answer",
    "uuid_parsing": "must be a UUID, the `id` in an answer",
}
_BOUNDED: Final[Mapping[str, str]] = {
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length} entries",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
}
_OBJECTS: Final = frozenset({"model_attributes_type", "model_type", "dict_type"})
_BODY: Final = ("body",)


def wording(fault: Mapping[str, Any]) -> str:
    """One fault as pydantic reports it (`type`, `loc`, `ctx`, `msg`), without the refused value."""
    kind = fault["type"]
    if fault["loc"] == _BODY and (kind in _OBJECTS or kind == "missing"):
        return "must be a JSON object, sent with Content-Type: application/json"
    if kind in _OBJECTS:
        return "must be a JSON object"
    if kind == "value_error":
        # our own validators' words
        return str(fault["msg"]).removeprefix("Value error, ")
    if kind in ("string_too_short", "too_short") and fault["ctx"]["min_length"] == 1:
        return "must not be empty"
    if kind == "literal_error" and fault["ctx"]["expected"] in ("True", "False"):
        # as JSON spells it
        return f"must be {fault['ctx']['expected'].lower()}"
    if kind in _BOUNDED:
        return _BOUNDED[kind].format(**fault["ctx"])
    return _PLAIN.get(kind, "is not what is asked for here")
