"""From the environment to the settings; whatever cannot be understood is named in one sentence, its value never."""

import os
from collections.abc import Iterable, Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from talon.settings import urls
from talon.settings.names import PREFIX, RATE_LIMIT_PREFIX, RPC_PREFIX, chain_of, is_foreign, nearest
from vault.limits.names import NAMES, parse_limit

LISTS = ("trusted_proxies", "google_client_ids", "google_issuers", "oidc_issuers", "metrics_networks")
# each is many variables
MANY = {"rpc_urls", "rate_limits"}

Model = TypeVar("Model", bound=BaseModel)


class SettingsError(Exception):
    """A variable cannot be understood; the text names the variable, never the value."""


def settings(model: type[Model], environment: Mapping[str, str] | None = None) -> Model:
    """The settings as a `model` (empty means unset); SettingsError for a bad value, or a name that is nearly ours."""
    found = _ours(environment)
    chosen: dict[str, object] = {}
    rpc_urls: dict[int, list[str]] = {}
    rate_limits: dict[str, str] = {}
    for name, value in found.items():
        field = name.removeprefix(PREFIX).lower()
        if field in model.model_fields and field not in MANY:
            chosen[field] = tuple(_split(value)) if field in LISTS else value
        elif (chain := chain_of(name)) is not None:
            rpc_urls[chain] = _endpoints(name, value)
        elif (limit := name.removeprefix(RATE_LIMIT_PREFIX).lower()) in NAMES and name.startswith(RATE_LIMIT_PREFIX):
            rate_limits[limit] = _rate_limit(name, limit, value)
        else:
            _refuse_slip(name, value, known_to(model))
    try:
        return model.model_validate({**chosen, "rpc_urls": rpc_urls, "rate_limits": rate_limits})
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from None


def unread(model: type[BaseModel], environment: Mapping[str, str] | None = None) -> list[str]:
    """The variables that begin like ours and that nobody reads, as far as we know; in alphabetical order."""
    names = set(known_to(model))
    return sorted(
        name
        for name, value in _ours(environment).items()
        if name not in names and not _is_one_of_many(name) and not is_foreign(name, value)
    )


def known_to(model: type[BaseModel]) -> list[str]:
    """The names of the variables that hold one field each."""
    return [PREFIX + field.upper() for field in model.model_fields if field not in MANY]


def _ours(environment: Mapping[str, str] | None) -> dict[str, str]:
    given = os.environ if environment is None else environment
    return {name: value for name, value in given.items() if name.startswith(PREFIX) and value.strip()}


def _is_one_of_many(name: str) -> bool:
    is_limit = name.startswith(RATE_LIMIT_PREFIX) and name.removeprefix(RATE_LIMIT_PREFIX).lower() in NAMES
    return is_limit or chain_of(name) is not None


def _refuse_slip(name: str, value: str, known: Iterable[str]) -> None:
    if is_foreign(name, value):
        return
    meant = nearest(name, known)
    if meant is not None:
        raise SettingsError(f"{name} is no variable of Talon's; was {meant} meant?")
    if name.startswith(RPC_PREFIX):
        raise SettingsError(f"{name} names no chain: what follows {RPC_PREFIX} is its number, as in {RPC_PREFIX}1")
    if name.startswith(RATE_LIMIT_PREFIX):
        raise SettingsError(f"{name} names no rate limit; there are {', '.join(NAMES).upper()}")


def _endpoints(variable: str, value: str) -> list[str]:
    endpoints = _split(value)
    if not endpoints:
        raise SettingsError(f"{variable} names no endpoint")
    for number, each in enumerate(endpoints, 1):
        try:
            urls.endpoint(each)
        except ValueError as error:
            which = f", endpoint {number}," if len(endpoints) > 1 else ""
            raise SettingsError(f"{variable}{which} {error}") from None
    return endpoints


def _rate_limit(variable: str, limit: str, value: str) -> str:
    try:
        parse_limit(limit, value)
    except ValueError as error:
        raise SettingsError(f"{variable} {error}") from None
    return value


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    # our own words where there are some; what is left is a field that has no check of its own
    said = str(first.get("ctx", {}).get("error", "")) or "cannot be understood"
    return f"{PREFIX}{str(first['loc'][0]).upper()} {said}" if first["loc"] else said


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]
