"""The first usable answer of several endpoints: in order, the next one also when one takes its time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from chains.endpoint import Endpoint, TransportFailed, unavailable
from chains.errors import WrongChain

T = TypeVar("T")

# How long an endpoint has to itself before the next is asked the same
HEDGE_AFTER_S: Final = 1.0


async def first(chain_id: int, endpoints: Sequence[Endpoint], ask: Callable[[Endpoint], Awaitable[T]]) -> T:
    """The answer of the endpoint that is best known, or whichever comes first once one has had its second.

    An endpoint that is overtaken counts as failing. RpcUnavailable with everybody's reason when none answers,
    WrongChain when one serves another chain and no other answers.
    """
    left = list(endpoints)
    asked: dict[asyncio.Task[T], Endpoint] = {}
    failures: list[TransportFailed] = []
    wrong: WrongChain | None = None
    try:
        while left or asked:
            if left:
                # by what is known now: while one failed, others may have said on the side that they are there
                left.remove(endpoint := min(left, key=Endpoint.place))
                asked[asyncio.create_task(_twice(endpoint, ask))] = endpoint
            patience_s = HEDGE_AFTER_S if left else None
            done, _ = await asyncio.wait(asked, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                del asked[task]
                try:
                    answer = task.result()
                except WrongChain as error:
                    wrong = error
                except TransportFailed as error:
                    failures.append(error)
                else:
                    for overtaken in asked.values():
                        overtaken.overtaken()
                    return answer
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    if wrong is not None:
        raise wrong
    raise unavailable(chain_id, failures)


async def _twice(endpoint: Endpoint, ask: Callable[[Endpoint], Awaitable[T]]) -> T:
    try:
        return await ask(endpoint)
    except TransportFailed as error:
        if not error.stale_connection:
            raise
    # a kept connection that the node closed meanwhile says nothing about the node: once more
    try:
        return await ask(endpoint)
    except TransportFailed as error:
        endpoint.out_of_use(error)
        raise
