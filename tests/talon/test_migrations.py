"""The migrations give exactly the tables that the models describe, and a second upgrade changes nothing."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from coincurve import PrivateKey
from sqlalchemy import Connection, create_engine, text

import intents.models
import intents.outside.models
import intents.restored.models
import signer.models
import vault.admin.models
import vault.agents.models
import vault.audit.models
import vault.auth.models
import vault.clock.models
import vault.cmek.models
import vault.db
import vault.freezes.models
import vault.kek.models
import vault.limits.models
import vault.networks.models
import vault.orgs.models
import vault.policies.models
import vault.restores.models
import vault.secrets.models
import vault.signing_keys.models
import vault.vaults.models
from chains.transactions import encode_signed, signing_digest
from talon.migrate import SCRIPTS, RevisionError, head, upgrade, verify_revision
from tests.support.approvals import some_transaction
from tests.support.postgres import Postgres, running_postgres

MODELS = (
    intents.models,
    intents.outside.models,
    intents.restored.models,
    vault.agents.models,
    vault.auth.models,
    vault.admin.models,
    vault.networks.models,
)
MODELS += (vault.audit.models, vault.cmek.models, vault.freezes.models, vault.kek.models, vault.limits.models)
MODELS += (vault.orgs.models, vault.policies.models, vault.secrets.models, vault.vaults.models)
MODELS += (vault.clock.models, vault.restores.models, vault.signing_keys.models)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


def test_models_equal_migrations(server: Postgres) -> None:
    url = server.create("migrated")
    upgrade(url, None, None)
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "compare_type": True,
                "include_object": lambda _o, name, kind, _r, _c: not (kind == "table" and name == "alembic_version"),
            },
        )
        metadatas = [vault.db.metadata, signer.models.metadata]
        tables = {table for metadata in metadatas for table in metadata.tables}
        assert {"transactions", "audit_events", "signer.redemptions", "secret_versions"} <= tables
        assert compare_metadata(context, metadatas) == []
    engine.dispose()


async def test_everybody_else_only_verifies(server: Postgres) -> None:
    url = server.create("versions")
    with pytest.raises(RevisionError):
        await verify_revision(url)
    upgrade(url, None, None)
    upgrade(url, None, None)
    await verify_revision(url)
    assert head() is not None
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    engine.dispose()
    with pytest.raises(RevisionError):
        await verify_revision(url)


# what an instance of the first schema may hold: two agents of one certificate written in two ways, a deleted third,
# a secret whose newest version is disabled, one without any left, a mail in the clear, two events; at one nonce a
# signature that was handed out and the larger transaction that took its place, in flight; a settled one; a redemption
FIRST = """
INSERT INTO organisations (id, name) VALUES (:org, 'Acme');
INSERT INTO users (id, email) VALUES (:user, 'ann@example.com');
INSERT INTO memberships (user_id, org_id, role) VALUES (:user, :org, 'owner');
INSERT INTO agents (id, org_id, name, client_cert_fingerprint, created_by, created_at, deleted_at) VALUES
    (gen_random_uuid(), :org, 'second', 'ab:cd', :user, now(), NULL),
    (gen_random_uuid(), :org, 'first', 'AB:CD', :user, now() - interval '1 day', NULL),
    (gen_random_uuid(), :org, 'gone', 'abcd', :user, now() - interval '2 days', now()),
    (gen_random_uuid(), :org, 'other', 'EF01', :user, now(), NULL),
    (gen_random_uuid(), :org, 'none', NULL, :user, now(), NULL);
INSERT INTO vaults (id, org_id, name, description, created_by, created_by_type)
    VALUES (:vault, :org, 'main', '', :user, 'user');
INSERT INTO secrets (id, vault_id, path, latest_version) VALUES
    (:kept, :vault, 'kept', 2), (:gone, :vault, 'gone', 1);
INSERT INTO secret_versions (secret_id, version, type, sealed, address, exportable, metadata, access_count,
    created_by, created_by_type, disabled_at) VALUES
    (:kept, 1, 'private_key', '\\x01', '\\xabcd', true, '{"of": "one"}', 3, :user, 'user', NULL),
    (:kept, 2, 'generic', '\\x02', NULL, true, '{"of": "two"}', 0, :user, 'user', now()),
    (:gone, 1, 'generic', '\\x03', NULL, true, '{}', 0, :user, 'user', now());
UPDATE secret_versions SET key_id = :key WHERE secret_id = :kept AND version = 1;
INSERT INTO transactions (id, org_id, agent_id, key_id, chain, chain_id, wallet_address, to_address, value_wei, data,
    status, signed_at) VALUES
    (gen_random_uuid(), :org, :signing, :key, 'anvil', 31337, '\\xabcd', '\\x01', 1, '', 'sign_only', now()),
    (gen_random_uuid(), :org, :signing, :key, 'anvil', 31337, '\\xabcd', '\\x01', 1, '', 'sign_only', now()),
    (gen_random_uuid(), :org, :refused, :key, 'anvil', 31337, '\\xabcd', '\\x01', 1, '', 'simulation_failed', NULL);
INSERT INTO outbox_mails (id, recipient, subject, body)
    VALUES (gen_random_uuid(), 'ann@example.com', 'Reset', 'code');
INSERT INTO audit_events (id, org_id, actor_type, actor_id, action, resource_type, resource_id, details) VALUES
    (:event, :org, 'user', :user_text, 'secret.read', 'secret', 'kept', '{"version": 1}'),
    (gen_random_uuid(), :org, 'user', :user_text, 'secret.read', 'secret', 'kept', '{"version": 1}');
INSERT INTO transactions (id, org_id, agent_id, key_id, chain, chain_id, wallet_address, to_address, value_wei, data,
    nonce, status, final_at) VALUES
    (:handed_out, :org, :user, :user, 'anvil', 31337, :wallet, :wallet, 1, '', 7, 'sign_only', NULL),
    (:in_flight, :org, :user, :user, 'anvil', 31337, :wallet, :wallet, 9, '', 7, 'broadcast', NULL),
    (:settled, :org, :user, :user, 'anvil', 31337, :wallet, :wallet, 1, '', 6, 'final', now());
INSERT INTO attempts (id, transaction_id, kind, raw, tx_hash, created_at) VALUES
    (gen_random_uuid(), :handed_out, 'sign_only', :raw_1, '\\x01', now() + interval '1 day'),
    (gen_random_uuid(), :in_flight, 'submit', :raw_9, '\\x02', now()),
    (gen_random_uuid(), :settled, 'submit', :raw_1, '\\x03', now());
INSERT INTO signer.redemptions (approval_id, agent_id, key_id, kind, digest)
    VALUES (gen_random_uuid(), :user, :user, 'submit', '\\x01');
"""


def signed(value: int) -> tuple[bytes, bytes]:
    """Raw bytes that move `value` wei, and the digest that was signed."""
    transaction = some_transaction(value=value)
    key = PrivateKey()
    signature = key.sign_recoverable(signing_digest(transaction), hasher=None)
    r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
    return encode_signed(transaction, r, s, signature[64]), signing_digest(transaction)


def test_an_upgrade_keeps_what_the_first_schema_held(server: Postgres) -> None:
    engine = create_engine(url := server.create("filled"))
    names = ("org", "user", "vault", "kept", "gone", "event", "key", "signing", "refused")
    values: dict[str, object] = {name: uuid4() for name in names}
    values["user_text"], values["wallet"] = str(values["user"]), b"w" * 20
    values |= {name: uuid4() for name in ("handed_out", "in_flight", "settled")}
    (values["raw_1"], _), (values["raw_9"], digest) = signed(1), signed(9)
    with engine.begin() as connection:
        alembic_upgrade(connection, "0001")
    with engine.begin() as connection:
        for statement in filter(str.strip, FIRST.split(";\n")):
            connection.execute(
                text(statement), {name: value for name, value in values.items() if f":{name}" in statement}
            )
    upgrade(url, None, None)
    with engine.begin() as connection:
        rows = connection.execute(text("SELECT name, client_cert_fingerprint FROM agents")).all()
        assert dict(map(tuple, rows)) == {
            "first": "abcd",
            "second": None,
            "gone": "abcd",
            "other": "ef01",
            "none": None,
        }
        rows = connection.execute(text("SELECT path, newest - 'created_at' FROM secrets")).all()
        assert dict(map(tuple, rows)) == {
            "kept": {
                "type": "private_key", "version": 1, "metadata": {"of": "one"},
                "expires_at": None, "address": "abcd", "cmek": False,
            },
            "gone": None,
        }  # fmt: skip
        sealed = connection.execute(text("SELECT sealed, access_count FROM secret_versions ORDER BY sealed")).all()
        assert [(bytes(value), count) for value, count in sealed] == [(b"\x01", 3), (b"\x02", 0), (b"\x03", 0)]
        assert connection.execute(text("SELECT count(*) FROM outbox_mails")).scalar() == 0
        # a path stands for the key that it was last signed with
        bound = connection.execute(
            text("SELECT agent_id, path, vault_id, secret_id, bound_by FROM agent_signing_keys")
        )
        assert bound.all() == [(values["signing"], "kept", values["vault"], values["kept"], None)]
        waiting = connection.execute(
            text("SELECT event_id, sequence, org_id FROM audit_pending ORDER BY sequence")
        ).all()
        events = connection.execute(text("SELECT id, sequence, org_id FROM audit_events ORDER BY sequence")).all()
        assert len(events) == 2
        assert waiting == events
        known = connection.execute(text("SELECT transaction_id, digest IS NOT NULL FROM attempts")).all()
        open_ = {values["handed_out"], values["in_flight"]}
        assert {row[0] for row in known if row[1]} == open_ < {row[0] for row in known}
        [place] = connection.execute(text("SELECT * FROM signer.signed_nonces")).mappings().all()
        assert (place["address"], place["chain_id"], place["nonce"]) == (b"w" * 20, 31337, 7)
        assert (place["digest"], place["value_wei"], place["handed_out"]) == (digest, 9, False)
        assert connection.execute(text("SELECT count(*) FROM signer.redemptions WHERE address IS NULL")).scalar() == 1
    engine.dispose()


def alembic_upgrade(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
