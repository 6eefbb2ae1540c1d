"""The gate of a restored copy: its order against signatures, and that the first reason stays."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.locks import until_waiting
from tests.support.vault_api import Tenant
from vault.context import Context
from vault.errors import Problem
from vault.restores import gate

WHY = "this database is older than what was signed."


@pytest.fixture(autouse=True)
async def opened(tenant: Tenant) -> AsyncIterator[None]:
    yield
    await tenant.change("DELETE FROM restores")


async def test_a_copy_is_frozen_once_and_keeps_its_first_reason(context: Context) -> None:
    async with context.database.begin() as connection:
        await gate.require_open(connection, binding=True)
        assert await gate.freeze(connection, "epoch", WHY)
        assert not await gate.freeze(connection, "chain", "another.")
    for binding in (False, True):
        with pytest.raises(Problem) as refused:
            async with context.database.begin() as connection:
                await gate.require_open(connection, binding=binding)
        problem = refused.value
        assert (problem.status, problem.type, problem.headers["Retry-After"]) == (503, "restored_copy", "60")
        assert WHY in problem.detail


async def test_an_opened_copy_signs_and_can_be_found_old_again(tenant: Tenant, context: Context) -> None:
    for _ in range(2):
        async with context.database.begin() as connection:
            assert await gate.freeze(connection, "restore", WHY)
        await tenant.change("UPDATE restores SET opened_at = clock_timestamp() WHERE opened_at IS NULL")
        async with context.database.begin() as connection:
            await gate.require_open(connection, binding=True)
    assert len(await tenant.rows("SELECT 1 FROM restores")) == 2


async def test_it_waits_for_the_signature_under_way(tenant: Tenant, context: Context) -> None:
    async def find_old() -> None:
        async with context.database.begin() as connection:
            await gate.freeze(connection, "chain", WHY)

    async with context.database.begin() as signing:
        await gate.require_open(signing, binding=True)
        finding = asyncio.create_task(find_old())
        await until_waiting(tenant.rows, "LOCK TABLE restores%")
        async with context.database.statements() as reading:
            await gate.require_open(reading)
        assert not finding.done()
    await finding


async def test_a_signature_waits_for_it_and_sees_it(tenant: Tenant, context: Context) -> None:
    async def sign() -> None:
        async with context.database.begin() as signing:
            await gate.require_open(signing, binding=True)

    for _ in range(6):  # also as a prepared statement, which plans and locks in another order
        await sign()
    async with context.database.begin() as finding:
        await gate.freeze(finding, "chain", WHY)
        asked = asyncio.create_task(sign())
        await until_waiting(tenant.rows, "%FROM restores%FOR SHARE%")
    with pytest.raises(Problem) as caught:
        await asked
    assert caught.value.type == "restored_copy"
