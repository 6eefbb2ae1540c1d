"""Which block a chain began with: what tells a chain from another one under the same id."""

from typing import Any, Protocol

import aiohttp

from chains.errors import BadHex, RpcError
from chains.hexdata import parse_data


class Asked(Protocol):
    """An endpoint that can be asked whatever chain it serves."""

    async def ask(self, session: aiohttp.ClientSession, method: str, params: list[Any]) -> Any:
        """The result of one call, None when there is none; RpcError when nothing comes."""


async def genesis_of(endpoint: Asked, session: aiohttp.ClientSession) -> bytes | None:
    """The hash of the endpoint's block 0; None when it does not say."""
    return _first_block(await _result(endpoint, session, "eth_getBlockByNumber", ["0x0", False]))


async def has_begun_with(endpoint: Asked, session: aiohttp.ClientSession, genesis_hash: bytes) -> bool:
    """Does the endpoint serve the chain of this first block, as far as it says?

    An endpoint that does not name a first block is not doubted. One that names another still serves our chain if it
    knows ours by its hash: anvil begins anew at every start, and keeps what it loads from its state beside that.
    """
    named = await genesis_of(endpoint, session)
    if named is None or named == genesis_hash:
        return True
    known = await _result(endpoint, session, "eth_getBlockByHash", [f"0x{genesis_hash.hex()}", False])
    return _first_block(known) == genesis_hash


async def _result(endpoint: Asked, session: aiohttp.ClientSession, method: str, params: list[Any]) -> Any:
    try:
        return await endpoint.ask(session, method, params)
    except RpcError:
        return None


def _first_block(block: Any) -> bytes | None:
    if not isinstance(block, dict) or block.get("number") not in ("0x0", "0x00"):
        return None
    try:
        found = parse_data(block.get("hash") or "", 32)
    except (BadHex, TypeError, AttributeError):
        return None
    return found if len(found) == 32 else None
