"""What other packages read of an agent: its limits in comparable form, and what it spent today."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from tests.support.factories import make_agent, make_user
from tests.vault.conftest import Connect
from vault.agents.repository import agent_org, load_guardrails
from vault.agents.spent import spent_today_wei
from vault.db import Database
from vault.errors import Problem

ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


async def test_limits_are_loaded_exactly(database: Database) -> None:
    person = await make_user(database)
    robot = await make_agent(
        database,
        person.org_id,
        intents_api_enabled=True,
        tx_allowed_chains=["base", "anvil"],
        tx_to_allowlist=[ADDRESS],
        tx_max_value_wei=2**256 - 1,
        tx_daily_limit_wei=0,
    )
    async with database.begin() as connection:
        loaded = await load_guardrails(connection, robot.id)
    assert loaded.org_id == person.org_id
    assert loaded.allowed_chains == ("base", "anvil")
    assert loaded.allowed_destinations == (bytes.fromhex(ADDRESS[2:]),)
    assert loaded.max_value_wei == 2**256 - 1
    assert type(loaded.max_value_wei) is int
    assert loaded.daily_limit_wei == 0
    assert loaded.is_active
    assert loaded.intents_api_enabled


async def test_a_deleted_agent_has_no_limits_to_load(database: Database) -> None:
    person = await make_user(database)
    robot = await make_agent(database, person.org_id, deleted_at=datetime.now(UTC))
    async with database.begin() as connection:
        for agent_id in (robot.id, uuid4()):
            with pytest.raises(Problem) as refused:
                await load_guardrails(connection, agent_id)
            assert refused.value.status == 404


async def test_a_deleted_agent_still_has_an_organisation(database: Database) -> None:
    person = await make_user(database)
    robot = await make_agent(database, person.org_id, deleted_at=datetime.now(UTC))
    async with database.begin() as connection:
        assert await agent_org(connection, robot.id) == person.org_id
        assert await agent_org(connection, uuid4()) is None


async def reserve(database: Database, agent_id: UUID, wei: int, state: str, at: datetime) -> None:
    async with database.begin() as connection:
        # the ledger's rows belong to transactions, which this test has no need of
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        await connection.execute(
            text(
                "INSERT INTO spend_reservations (transaction_id, agent_id, value_wei, state, reserved_at, in_window)"
                " VALUES (:transaction_id, :agent_id, :wei, :state, :at, true)"
            ),
            {"transaction_id": uuid4(), "agent_id": agent_id, "wei": wei, "state": state, "at": at},
        )


async def test_spent_today_counts_from_midnight_utc_without_what_was_released(
    connect: Connect, database: Database
) -> None:
    person = await make_user(database)
    robot = await make_agent(database, person.org_id)
    idle = await make_agent(database, person.org_id)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    await reserve(database, robot.id, 10**18, "open", midnight)
    await reserve(database, robot.id, 5 * 10**17, "settled", midnight + timedelta(seconds=1))
    await reserve(database, robot.id, 10**21, "released", midnight + timedelta(seconds=1))
    await reserve(database, robot.id, 10**22, "open", midnight - timedelta(microseconds=1))
    async with database.begin() as connection:
        assert await spent_today_wei(connection, robot.id) == 15 * 10**17
        assert await spent_today_wei(connection, idle.id) == 0
    itself = (await connect(robot.key).get(f"/v1/agents/{robot.id}")).json()
    assert itself["tx_spent_today_eth"] == "1.5"
    # strict clients do not know the field: it is told where it is asked for, when there is something to tell
    assert "tx_spent_today_eth" not in (await connect(idle.key).get(f"/v1/agents/{idle.id}")).json()
    shown = (await connect(person.key).get("/v1/agents")).json()["agents"]
    assert len(shown) == 2
    assert not any("tx_spent_today_eth" in each for each in shown)


async def test_amounts_by_their_later_names(connect: Connect, database: Database) -> None:
    http = connect((await make_user(database)).key)
    body = {"name": "a", "tx_max_value": "0.50", "tx_daily_limit": "3"}
    made = (await http.post("/v1/agents", json=body)).json()["agent"]
    both = {"tx_max_value_eth": "0.5", "tx_max_value": "0.5", "tx_daily_limit_eth": "3", "tx_daily_limit": "3"}
    assert both.items() <= made.items()
    url = f"/v1/agents/{made['id']}"
    for plain in (await http.get(url), await http.patch(url, json={"tx_max_value_eth": "0.5"})):
        assert not {"tx_max_value", "tx_daily_limit"} & plain.json().keys()
    listed = (await http.get("/v1/agents", params={"include": "aliases"})).json()["agents"]
    asked = [(await http.get(url, params={"include": "aliases"})).json(), *listed]
    assert [both.items() <= each.items() for each in asked] == [True, True]
    assert (await http.get(url, params={"include": "everything"})).status_code == 400

    cleared = await http.patch(url, json={"tx_daily_limit": None})
    assert (cleared.status_code, "tx_daily_limit_eth" in cleared.json()) == (200, False)


@pytest.mark.parametrize(
    ("later", "contract", "status"),
    [("1", "1.0", 201), (None, None, 201), ("1", "2", 400), (None, "2", 400), ("2", None, 400), ("x", "2", 400)],
)
async def test_an_amount_by_both_names_is_one_amount(
    connect: Connect, database: Database, later: str | None, contract: str | None, status: int
) -> None:
    http = connect((await make_user(database)).key)
    answer = await http.post("/v1/agents", json={"name": "a", "tx_max_value": later, "tx_max_value_eth": contract})
    assert answer.status_code == status, answer.text
    if status == 400:
        assert "tx_max_value" in answer.json()["detail"]
        assert (await http.get("/v1/agents")).json() == {"agents": []}
