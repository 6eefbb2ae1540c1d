"""Find an account's transactions on its chain by one endpoint, within a stated number of calls.

First by the count's steps: where the account's count passes a nonce is its block, found backwards in growing steps
and then by halving, as far as the node has the state. Then, for what is left, by walking the blocks back.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from chains.errors import RpcRefused, Unreadable
from chains.hexdata import format_data
from chains.nonce_user import NoList, read_listing
from chains.quantities import COUNT_BITS, quantity
from chains.rpc import ChainClient
from chains.sent import Sent, block_time, is_deposit, read_sent

# For one account and endpoint: a nonce costs some ten calls where it was used lately, 65 at the worst
CALLS_PER_ACCOUNT: Final = 400
# For all accounts of a chain together, by each endpoint
BLOCKS_WALKED: Final = 256


class NotToBeFound(Exception):  # noqa: N818 - an outcome, not a fault
    """The node lacks the state, or the calls are used up."""


class Steps:
    """One account's count over the blocks, by one endpoint; what was asked once is remembered."""

    def __init__(self, client: ChainClient, address: bytes, head: int, mined: int) -> None:
        self._client, self._address, self._mined = client, address, mined
        self._counts = {head: mined}
        self._blocks: dict[int, Any] = {}
        self.calls = 0

    async def find(self, nonces: Iterable[int]) -> dict[int, Sent]:
        """Those of `nonces` that are found, the newest first: a pruned node has those. RpcError when none answers."""
        found: dict[int, Sent] = {}
        for nonce in sorted((each for each in nonces if each < self._mined), reverse=True):
            try:
                number = await self._block_of(nonce)
                sent = await self._sent_in(number, nonce)
            except NotToBeFound:
                break
            if sent is not None:
                found[nonce] = sent
        return found

    async def shows_deposit(self, nonce: int) -> bool:
        """Does the node show that the nonce was used by a deposit, not by a signature?"""
        try:
            number = await self._block_of(nonce)
            items = read_listing(await self._whole(number), number).items
        except (NotToBeFound, NoList):
            return False
        return any(is_deposit(each, self._address, nonce) for each in items)

    async def _block_of(self, nonce: int) -> int:
        """The block in which the count passes `nonce`."""
        used = min((block for block, count in self._counts.items() if count > nonce), default=None)
        if used is None:
            raise NotToBeFound
        below = [block for block, count in self._counts.items() if count <= nonce and block < used]
        step = 1
        while not below:
            if used == 0:
                raise NotToBeFound  # used before the first block: a node that makes no sense
            block = max(used - step, 0)
            if await self._count(block) > nonce:
                used, step = block, 2 * step
            else:
                below = [block]
        unused = max(below)
        while used - unused > 1:
            middle = (used + unused) // 2
            if await self._count(middle) > nonce:
                used = middle
            else:
                unused = middle
        return used

    async def _count(self, block: int) -> int:
        if block not in self._counts:
            answer = await self._ask("eth_getTransactionCount", [format_data(self._address), hex(block)])
            try:
                self._counts[block] = quantity(answer, COUNT_BITS)
            except (RpcRefused, Unreadable):
                raise NotToBeFound from None
        return self._counts[block]

    async def _sent_in(self, number: int, nonce: int) -> Sent | None:
        block = await self._whole(number)
        return sent_in(block, number, self._client.chain_id, {self._address: {nonce}}).get((self._address, nonce))

    async def _whole(self, number: int) -> Any:
        if number not in self._blocks:
            self._blocks = {number: await self._ask("eth_getBlockByNumber", [hex(number), True])}
        return self._blocks[number]

    async def _ask(self, method: str, params: list[Any]) -> Any:
        if self.calls >= CALLS_PER_ACCOUNT:
            raise NotToBeFound
        self.calls += 1
        try:
            return await self._client.call(method, params)
        except RpcRefused:
            raise NotToBeFound from None


async def walk_back(client: ChainClient, head: int, wanted: dict[bytes, set[int]]) -> dict[tuple[bytes, int], Sent]:
    """Those of `wanted` nonces, by account, that are in the newest `BLOCKS_WALKED` blocks."""
    found: dict[tuple[bytes, int], Sent] = {}
    missing = sum(len(nonces) for nonces in wanted.values())
    for number in range(head, max(head - BLOCKS_WALKED, -1), -1):
        if len(found) == missing:
            break
        try:
            block = await client.call("eth_getBlockByNumber", [hex(number), True])
        except RpcRefused:
            break
        found |= sent_in(block, number, client.chain_id, wanted)
    return found


def sent_in(block: Any, number: int, chain_id: int, wanted: dict[bytes, set[int]]) -> dict[tuple[bytes, int], Sent]:
    """What a node's block of that number holds of `wanted`, each with its account's own signature."""
    try:
        items = read_listing(block, number).items
    except NoList:
        return {}
    at = block_time(block)
    if at is None:
        return {}
    found: dict[tuple[bytes, int], Sent] = {}
    for address, nonces in wanted.items():
        for item in items:
            read = read_sent(item, chain_id, address)
            if read is not None and read[0].nonce in nonces:
                found[(address, read[0].nonce)] = Sent(read[0], read[1], number, at)
    return found


async def block_before(client: ChainClient, moment: datetime) -> int | None:
    """The newest block whose time is not after `moment`, None where the chain began later; about 30 calls.

    RpcError when no node answers, or not with what was asked.
    """
    newest = quantity(await client.call("eth_blockNumber", []), COUNT_BITS)
    low, high = -1, newest + 1
    while high - low > 1:
        middle = (low + high) // 2
        block = await client.call("eth_getBlockByNumber", [hex(middle), False])
        at = block_time(block) if isinstance(block, dict) else None
        if at is None:
            raise Unreadable(f"no time of block {middle}")
        if at <= moment:
            low = middle
        else:
            high = middle
    return None if low < 0 else low
