"""A node that stops naming final blocks: one line when it lasts, one when it is over."""

import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

import intents.finality_missed as missed
from chains.defaults import ANVIL
from intents.finality_missed import LASTS_S, FinalityMissed

OTHER = replace(ANVIL, name="other", chain_id=5)


def test_it_is_told_once_when_it_lasts_and_once_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock: Any = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(missed, "time", clock)
    finality = FinalityMissed()

    def looks(seconds: float, final_block: int) -> None:
        until = clock.now + seconds
        while clock.now < until:
            finality.seen(ANVIL, final_block)
            finality.seen(OTHER, 7)
            clock.now += 0.5

    # for a moment only, again and again
    for _ in range(5):
        looks(LASTS_S - 1, -1)
        looks(1, 7)
    assert caplog.messages == []
    for _ in range(2):
        caplog.clear()
        looks(10 * LASTS_S, -1)
        looks(LASTS_S, 7)
        assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
        assert caplog.messages == [
            "chain anvil: no node names the final block; nothing becomes final until one does",
            "chain anvil: the final block is known again",
        ]
