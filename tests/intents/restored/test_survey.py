"""From when on a restored copy looks for what was spent."""

from datetime import UTC, datetime, timedelta

import pytest

from chains.rpc import ChainClient
from intents.restored.survey import DAY, day_ago
from tests.support.faulty_rpc import Answer, FaultyRpc


@pytest.mark.parametrize("ahead", [timedelta(days=-2), timedelta(seconds=-30), timedelta(days=2)])
async def test_neither_a_clock_nor_a_block_that_is_ahead_hides_a_day(ahead: timedelta) -> None:
    now = datetime.now(UTC)
    newest = now + ahead
    async with FaultyRpc() as rpc:
        rpc.faults["eth_getBlockByNumber"] = Answer({"timestamp": hex(int(newest.timestamp()))})
        rpc.faults["eth_chainId"] = Answer(hex(1))
        client = ChainClient(1, [rpc.url])
        found = await day_ago(client)
        await client.close()
    assert abs(found + DAY - min(now, newest)) < timedelta(minutes=5)
