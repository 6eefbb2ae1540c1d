"""Guardrails as a human writes them, turned into what is compared: addresses, canonical chains, wei.

A value that cannot be read exactly is refused here, when it is set, and never at the moment it should protect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from chains.addresses import format_address, parse_address
from chains.errors import BadAddress, BadAmount
from chains.units import parse_ether
from vault.errors import Problem, bad_request
from vault.networks.service import resolve_chain


@dataclass(frozen=True)
class AgentGuardrails:
    """The limits on an agent's transactions, in wei; None or empty means unrestricted."""

    agent_id: UUID
    org_id: UUID
    is_active: bool
    intents_api_enabled: bool
    allowed_chains: tuple[str, ...]
    allowed_destinations: tuple[bytes, ...]
    max_value_wei: int | None
    daily_limit_wei: int | None


async def read_guardrails(connection: AsyncConnection, given: Mapping[str, Any]) -> dict[str, Any]:
    """The columns for those guardrail fields that are in `given` (wire names); null clears.

    Problem 400 naming the field for an address, chain or amount that cannot be taken exactly.
    """
    columns: dict[str, Any] = {}
    if "tx_to_allowlist" in given:
        columns["tx_to_allowlist"] = _addresses(given["tx_to_allowlist"] or ())
    if "tx_allowed_chains" in given:
        columns["tx_allowed_chains"] = await _chains(connection, given["tx_allowed_chains"] or ())
    for field, column in (
        ("tx_max_value_eth", "tx_max_value_wei"),
        ("tx_daily_limit_eth", "tx_daily_limit_wei"),
    ):
        if field in given:
            columns[column] = _wei(field, given[field])
    return columns


def _addresses(texts: Sequence[str]) -> list[str]:
    addresses: list[str] = []
    for text in texts:
        try:
            addresses.append(format_address(parse_address(text)))
        except BadAddress as error:
            raise _refused("tx_to_allowlist", str(error)) from None
    return list(dict.fromkeys(addresses))


async def _chains(connection: AsyncConnection, identifiers: Sequence[str]) -> list[str]:
    names: list[str] = []
    for identifier in identifiers:
        try:
            names.append((await resolve_chain(connection, identifier)).name)
        except Problem as problem:
            raise _refused("tx_allowed_chains", problem.detail) from None
    return list(dict.fromkeys(names))


def _wei(field: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_ether(text)
    except BadAmount as error:
        raise _refused(field, str(error)) from None


def _refused(field: str, reason: str) -> Problem:
    return bad_request(f"{field}: {reason}", **{field: reason})
