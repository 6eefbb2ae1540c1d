"""Fixtures of the whole run."""

from collections.abc import AsyncIterator

import pytest

from tests.support.instance import Running, start_instance
from tests.support.report import LINES


@pytest.fixture(scope="session")
async def instance(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One running Talon, with two API processes and two signers, that all stories share."""
    running = await start_instance(tmp_path_factory.mktemp("talon"), {"TALON_WORKERS": "2", "TALON_SIGNERS": "2"})
    yield running
    await running.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests want to be read by whoever ran them."""
    for line in LINES:
        terminalreporter.write_line(line)
