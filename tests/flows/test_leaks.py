"""Nothing that was used can be found again: the search at the end of the run is in tests/conftest.py.

Here it is shown that the search would find something.
"""

import secrets

import psycopg

from tests.support import leaks
from tests.support.instance import Running
from tests.support.world import World


def test_the_search_finds_what_is_there() -> None:
    value = secrets.token_urlsafe(24)
    for planted in (value.encode(), value.encode().hex().encode()):
        found, size = leaks.search([value], [("table", b"before " + planted + b" after"), ("log", b"nothing")])
        assert len(found) == 1
        assert found[0].startswith("table")
        assert value not in found[0]
        assert size > len(planted)
    assert leaks.search([], [("log", f"ocv_{secrets.token_urlsafe(32)}".encode())])[0] != []
    assert leaks.search([value], [("log", b"nothing")])[0] == []


async def test_what_is_sent_is_looked_for(
    world: World, instance: Running, database: psycopg.AsyncConnection, ledger: leaks.Ledger
) -> None:
    value = f"hunter2-{secrets.token_urlsafe(24)}"
    answer = await world.http.put(
        f"/v1/vaults/{world.vault_id}/secrets/leaks/one", json={"value": value}, headers=world.headers
    )
    assert answer.status_code == 201
    assert value in ledger.values
    assert world.token in ledger.values
    # in the dump of a table that holds it, it would be found
    await database.execute("CREATE TABLE public.planted (line text)")
    try:
        await database.execute("INSERT INTO public.planted VALUES (%s)", (f"x{value}x",))
        found, _ = leaks.search([value], leaks.dump(instance.owner_dsn))
        assert found == [f"public.planted: a value of {len(value)} characters"]
    finally:
        await database.execute("DROP TABLE public.planted")
