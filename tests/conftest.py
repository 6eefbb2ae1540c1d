"""Fixtures of the whole run."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support import leaks
from tests.support.instance import Running, start_instance
from tests.support.report import LINES


@pytest.fixture(scope="session")
def ledger() -> leaks.Ledger:
    """Every secret, key, token and password that the tests use from here on."""
    made = leaks.Ledger()
    leaks.watch(made)
    return made


@pytest.fixture(scope="session")
async def instance(tmp_path_factory: pytest.TempPathFactory, ledger: leaks.Ledger) -> AsyncIterator[Running]:
    """One running Talon, with two API processes and two signers, that all stories share.

    When they are all told, nothing of what they used may be in its database or its logs.
    """
    # the one trusted proxy is the nginx of test_mtls, which comes from an address of its own
    environment = {"TALON_WORKERS": "2", "TALON_SIGNERS": "2", "TALON_TRUSTED_PROXIES": "127.0.0.9"}
    environment["TALON_CLIENT_CERT_HEADER"] = "Client-Cert"
    running = await start_instance(tmp_path_factory.mktemp("talon"), environment)
    yield running
    said = "".join(running.lines).encode()
    places = [*leaks.dump(running.owner_dsn), *leaks.logs(running.home), ("its own words", said)]
    found, size = leaks.search({*ledger.values, running.admin_password}, places)
    LINES.append(
        f"leak search: {len(ledger.values)} values, {size / 1e6:.0f} MB of dump and logs, {len(found)} found"
    )
    await running.stop()
    assert found == []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every operation of the fuzz an id of its own.

    schemathesis leaves them all with one, and of tests with the same id only one is handed to a process.
    """
    for item in items:
        if label := getattr(item, "operation_label", None):
            item._id = item.id.with_params(label)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Of several processes that test, each hands its lines to the one that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["lines"] = LINES


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """One of them is done."""
    LINES.extend(getattr(node, "workeroutput", {}).get("lines", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests want to be read by whoever ran them."""
    for line in LINES:
        terminalreporter.write_line(line)
