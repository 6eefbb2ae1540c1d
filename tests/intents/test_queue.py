"""Turns are given in order, one wallet does not hold up another, and a queue that is too long says so."""

import asyncio

import pytest

from intents import queue
from intents.queue import WalletQueue
from vault.errors import Problem

WALLET, OTHER = (1, b"a"), (1, b"b")


async def test_turns_come_in_order_and_one_at_a_time() -> None:
    line = WalletQueue()
    order: list[int] = []
    inside = 0

    async def take(n: int) -> None:
        nonlocal inside
        async with line.turn(*WALLET):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            order.append(n)
            inside -= 1

    await asyncio.gather(*(take(n) for n in range(50)))
    assert order == list(range(50))


async def test_another_wallet_is_not_held_up() -> None:
    line = WalletQueue()
    async with line.turn(*WALLET), asyncio.timeout(1), line.turn(*OTHER):
        pass


async def test_waiting_ends_with_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "WAIT_S", 0.05)
    line = WalletQueue()
    async with line.turn(*WALLET):
        with pytest.raises(Problem) as caught:
            async with line.turn(*WALLET):
                raise AssertionError("two turns at once")
    assert caught.value.status == 503
    async with line.turn(*WALLET):  # and the line still moves
        pass


async def test_a_long_queue_ends_with_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MAX_WAITING", 1)
    line = WalletQueue()
    async with line.turn(*WALLET):
        with pytest.raises(Problem) as caught:
            async with line.turn(*WALLET):
                raise AssertionError("two turns at once")
    assert caught.value.status == 503
