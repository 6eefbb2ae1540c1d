"""What is over is removed, and nothing else."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy import text

from tests.vault.auth.people import a_peer, an_email, log_in, mails_to, make_person
from tests.vault.conftest import Connect
from vault.auth import challenges, lockout, outbox, places, purge, repository, web_sessions
from vault.auth.origin import at_address
from vault.auth.purge import purge as purged
from vault.context import Context
from vault.db import Database

_AGED = {
    "email_tokens": "UPDATE email_tokens SET expires_at = now() - interval '2 days' WHERE email = :email",
    "mfa_challenges": "UPDATE mfa_challenges SET expires_at = now() - interval '2 hours' WHERE user_id = :id",
    "device_codes": "UPDATE device_codes SET expires_at = now() - interval '2 hours' WHERE email = :email",
    "known_places": "UPDATE known_places SET expires_at = now() WHERE user_id = :id",
    "web_sessions": "UPDATE web_sessions SET expires_at = now() WHERE user_id = :id",
    "lockouts": "UPDATE lockouts SET last_failed_at = now() - interval '25 hours' WHERE subject = :subject",
    "outbox_mails": "UPDATE outbox_mails SET created_at = now() - interval '31 days', sent_at = now()"
    " WHERE recipient = :email",
}
_COUNTED = {
    "email_tokens": "email = :email",
    "mfa_challenges": "user_id = :id",
    "device_codes": "email = :email",
    "known_places": "user_id = :id",
    "web_sessions": "user_id = :id",
    "lockouts": "subject = :subject",
    "outbox_mails": "recipient = :email",
}


async def test_what_is_over_goes_and_the_rest_stays(connect: Connect, database: Database) -> None:
    person, peer = await make_person(database), a_peer()
    http = connect(peer=peer)
    async with database.begin() as connection:
        await web_sessions.start(connection, person.caller, 12)
        await places.add_device(connection, person.id)
        await challenges.make(connection, person.id, 1, "password")
    await http.post("/v1/auth/forgot-password", json={"email": person.email})
    await http.post("/v1/auth/device/code", json={"client_id": "cli", "email": person.email})
    await log_in(http, person.email, "wrong")
    subject = lockout.account(person.email, at_address(peer))
    values = {"id": person.id, "email": person.email, "subject": subject.digest}

    async def counts() -> dict[str, int]:
        async with database.begin() as connection:
            return {
                table: (
                    await connection.execute(text(f"SELECT count(*) FROM {table} WHERE {where}"), values)  # noqa: S608
                ).scalar_one()
                for table, where in _COUNTED.items()
            }

    await purged(database)
    assert await counts() == dict.fromkeys(_COUNTED, 1)
    async with database.begin() as connection:
        for statement in _AGED.values():
            await connection.execute(text(statement), values)
    removed = await purged(database)
    assert await counts() == dict.fromkeys(_COUNTED, 0)
    assert all(count >= 1 for count in removed.values())


async def test_mails_nobody_sent_stay(context: Context, database: Database) -> None:
    email = an_email()
    async with database.begin() as connection:
        await outbox.post(context, connection, to=email, subject="hello", text="there")
        await connection.execute(
            text("UPDATE outbox_mails SET created_at = now() - interval '1 year' WHERE recipient = :to"),
            {"to": email},
        )
    await purged(database)
    assert len(await mails_to(context, email)) == 1


async def test_many_rows_go_in_bounded_batches(database: Database, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(purge, "BATCH", 10)
    monkeypatch.setattr(purge, "MAX_BATCHES", 3)
    await purged(database)
    async with database.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO lockouts (subject, failures, last_failed_at)"
                " SELECT decode(md5(n::text), 'hex'), 1, now() - interval '2 days' FROM generate_series(1, 45) n"
            )
        )
    assert [(await purged(database))["lockouts"] for _ in range(3)] == [30, 15, 0]


async def test_by_a_clock_that_is_not_believed_no_revocation_is_forgotten(database: Database) -> None:
    """Its token would live again once the clock is right."""
    revoked, over_at = str(uuid4()), datetime.now(UTC) - timedelta(hours=2)

    async def is_known() -> bool:
        async with database.begin() as connection:
            await repository.revoke_token(connection, str(uuid4()), datetime.now(UTC))
            found = await connection.execute(text("SELECT 1 FROM revoked_tokens WHERE jti = :jti"), {"jti": revoked})
            return found.first() is not None

    async with database.begin() as connection:
        await connection.execute(text("UPDATE clock SET leash = now() - interval '1 day'"))
        await repository.revoke_token(connection, revoked, over_at)
    assert await is_known()
    async with database.begin() as connection:
        await connection.execute(text("UPDATE clock SET leash = 'infinity'"))
    assert not await is_known()
