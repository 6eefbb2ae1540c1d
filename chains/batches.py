"""Several calls to one endpoint: as one list where it takes lists, else in shorter ones or one by one."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import aiohttp

from chains.endpoint import Endpoint, TransportFailed
from chains.errors import RpcRefused
from chains.refusals import About, about, may_be_the_batch, refusal_in
from chains.replies import Request, result_of

# Nodes allow a thousand calls in a list, providers a hundred, ten or none
SIZES: Final = (100, 10, 1)
# How many requests are under way at once where a list had to be split
AT_ONCE: Final = 8
# What a proxy says to a body it will not take; 401, 403 and 429 are about us, 5xx about itself
_NOT_TAKEN: Final = frozenset({400, 405, 406, 413, 415, 422, 501})


class _TooManyError(Exception):
    """The endpoint does not take so many calls at once, or no list."""


async def ask_all(endpoint: Endpoint, session: aiohttp.ClientSession, requests: Sequence[Request]) -> dict[int, Any]:
    """Results and RpcRefused by request id, as far as the endpoint answers; TransportFailed when it answers nothing.

    What it can do is remembered on the endpoint, so that the next list has the right length at once.
    """
    if not requests:
        # two endpoints are asked at once where one takes its time: the other has answered all of it by now
        return {}
    found: dict[int, Any] = {}
    known = endpoint.batch_size or len(requests)
    for size in (known, *(each for each in SIZES if each < min(known, len(requests)))):
        rest = [request for request in requests if request["id"] not in found]
        parts = [rest[at : at + size] for at in range(0, len(rest), size)]
        try:
            # one to see whether it is taken, then the others
            found |= await _ask_part(endpoint, session, parts[0])
            first = found[parts[0][0]["id"]] if size == 1 < known else None
            if isinstance(first, RpcRefused) and about(first) in (About.ENDPOINT, About.UNCLEAR):
                # it was not the list: the others would be refused alike, one by one
                raise endpoint.says(first)
            found |= await _ask_parts(endpoint, session, parts[1:])
        except _TooManyError:
            continue
        if size < known:
            endpoint.batch_size = size
        return found
    raise AssertionError("a single call is never too many")


async def _ask_parts(
    endpoint: Endpoint, session: aiohttp.ClientSession, parts: Sequence[Sequence[Request]]
) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for at in range(0, len(parts), AT_ONCE):
        tasks = [asyncio.create_task(_ask_part(endpoint, session, part)) for part in parts[at : at + AT_ONCE]]
        try:
            for answers in await asyncio.gather(*tasks):
                found |= answers
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return found


async def _ask_part(endpoint: Endpoint, session: aiohttp.ClientSession, part: Sequence[Request]) -> dict[int, Any]:
    if len(part) == 1:
        (request,) = part
        return {request["id"]: result_of(endpoint, request["id"], await endpoint.exchange(session, request))}
    try:
        answer = await endpoint.exchange(session, list(part))
    except TransportFailed as failed:
        if failed.http_status in _NOT_TAKEN:
            raise _TooManyError from None
        raise
    whole = _of_the_whole(answer, part)
    if whole is not None:
        if may_be_the_batch(whole):
            raise _TooManyError
        raise endpoint.says(endpoint.hide(whole))
    if not isinstance(answer, list):
        # it took the list for a call, or answered the first only
        raise _TooManyError
    return _by_id(endpoint, answer, part)


def _of_the_whole(answer: Any, part: Sequence[Request]) -> RpcRefused | None:
    """The error that stands for all calls: alone, alone in a list, or repeated for every call because of the list."""
    if isinstance(answer, dict):
        return refusal_in(answer)
    if not isinstance(answer, list) or not answer:
        return None
    refusals = [refusal_in(item) for item in answer]
    first = refusals[0]
    if first is None or any(each is None or each.code != first.code for each in refusals):
        return None
    if len(answer) < len(part) and not isinstance(answer[0].get("id"), int):
        return first
    return first if len(answer) == len(part) and _is_of_all(first) else None


def _is_of_all(refused: RpcRefused) -> bool:
    return about(refused) is About.ENDPOINT or (
        may_be_the_batch(refused) and about(refused) not in (About.METHOD, About.CALL)
    )


def _by_id(endpoint: Endpoint, answer: list[Any], part: Sequence[Request]) -> dict[int, Any]:
    by_id = {item["id"]: item for item in answer if isinstance(item, dict) and isinstance(item.get("id"), int)}
    found: dict[int, Any] = {}
    unread: TransportFailed | None = None
    for request in part:
        try:
            found[request["id"]] = result_of(endpoint, request["id"], by_id.get(request["id"]))
        except TransportFailed as failed:
            # one call's odd answer is one call's trouble; the next endpoint is asked for it
            unread = failed
    if not found and unread is not None:
        raise unread
    return found
