"""Who may do what in the database: the owner migrates, the API and worker write, the signer has its own schema.

A subverted API process must neither read sealed keys, nor mint redemptions, nor rewrite the audit trail; the
database is what stops it.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

DATABASE = "talon"
ADMIN = "talon_admin"
OWNER = "talon_owner"
APP = "talon_app"
SIGNER = "talon_signer"

SIGNER_SCHEMA = "signer"
# the application may add to these and read them, nothing else
INSERT_ONLY = ("audit_events", "audit_seals")
# the signer reads the log, and it alone may add a head to it
AUDIT_LOG = ("audit_events", "audit_seals", "audit_heads")
HEADS = "audit_heads"
# the signer itself may only add to these; the application may read them, to compare them with what it knows
SIGNER_INSERT_ONLY = ("redemptions",)
# what the application may read of the signer's other tables: which accounts were born in the HSM, and which of their
# nonces were signed, to be held against the chains' counts (`intents.outside`)
SIGNER_READABLE = {"keys": ("address", "origin"), "signed_nonces": ("address", "chain_id", "nonce")}
# whoever has the application or the signer may mark these as deleted, never take them away: keys come back from here
KEPT = ("vaults", "secrets", "secret_versions")
KEPT_BY_SIGNER = ("keys", "vault_keys")
# how far this instance came: the application reads it; the signer counts on
INSTANCE_TABLE = "instance"
REVISION_TABLE = "alembic_version"


def ensure_roles(connection: psycopg.Connection[Any], passwords: Mapping[str, str]) -> None:
    """Create the roles owner, app and signer, none of them privileged, and set their passwords (idempotent)."""
    for role in (OWNER, APP, SIGNER):
        name = sql.Identifier(role)
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None:
            # inheriting, because before version 16 a database's owner may create in `public` by inheritance only
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE").format(name))
        # only the verifier crosses the wire, so no log of the server can hold the password
        verifier = connection.pgconn.encrypt_password(passwords[role].encode(), role.encode(), b"scram-sha-256")
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(verifier.decode())))


def ensure_database(connection: psycopg.Connection[Any], name: str = DATABASE) -> None:
    """Create a database that the owner role owns and nobody else may enter but app and signer (idempotent)."""
    database = sql.Identifier(name)
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, sql.Identifier(OWNER)))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for role in (APP, SIGNER):
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, sql.Identifier(role)))


def grants(connection: psycopg.Connection[Any], app_role: str = APP, signer_role: str = SIGNER) -> None:
    """Set every privilege afresh; run by the owner after each upgrade, so that new tables are covered too.

    app: reads and writes `public`, may only read and append audit events, only read heads, sees of `signer` what was
    redeemed, which nonces were signed, and which accounts were born there. signer: reads and writes `signer`, may
    only append redemptions, of `public` reads the revision and the audit log, and appends its heads.
    """
    names = {
        "app": sql.Identifier(app_role),
        "signer": sql.Identifier(signer_role),
        "schema": sql.Identifier(SIGNER_SCHEMA),
        "revision": sql.Identifier("public", REVISION_TABLE),
    }
    statements = [
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {app}, {signer}",
        "GRANT USAGE ON SCHEMA public TO {app}, {signer}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {app}",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {app}",
    ]
    statements += [
        f"REVOKE UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON public.{table} FROM {{app}}"
        for table in INSERT_ONLY
        if _exists(connection, f"public.{table}")
    ]
    statements += [
        f"REVOKE DELETE, TRUNCATE ON public.{table} FROM {{app}}"
        for table in KEPT
        if _exists(connection, f"public.{table}")
    ]
    statements += [
        f"GRANT SELECT ON public.{table} TO {{signer}}"
        for table in AUDIT_LOG
        if _exists(connection, f"public.{table}")
    ]
    if _exists(connection, f"public.{HEADS}"):
        statements += [
            f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON public.{HEADS} FROM {{app}}",
            f"GRANT INSERT ON public.{HEADS} TO {{signer}}",
        ]
    if _exists(connection, f"public.{INSTANCE_TABLE}"):
        statements += [
            f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON public.{INSTANCE_TABLE} FROM {{app}}",
            f"GRANT SELECT, UPDATE (epoch) ON public.{INSTANCE_TABLE} TO {{signer}}",
        ]
    if _exists(connection, f"public.{REVISION_TABLE}"):
        statements += [
            "REVOKE INSERT, UPDATE, DELETE ON {revision} FROM {app}",
            "GRANT SELECT ON {revision} TO {signer}",
        ]
    if connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (SIGNER_SCHEMA,)).fetchone():
        statements += [
            "REVOKE ALL ON SCHEMA {schema} FROM PUBLIC, {app}",
            "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM PUBLIC, {app}",
            "GRANT USAGE ON SCHEMA {schema} TO {signer}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {signer}",
            "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {signer}",
        ]
        for table in SIGNER_INSERT_ONLY:
            if _exists(connection, f"{SIGNER_SCHEMA}.{table}"):
                statements += [
                    f"REVOKE UPDATE, DELETE, TRUNCATE ON {{schema}}.{table} FROM {{signer}}",
                    "GRANT USAGE ON SCHEMA {schema} TO {app}",
                    f"GRANT SELECT ON {{schema}}.{table} TO {{app}}",
                ]
        statements += [
            f"GRANT SELECT ({', '.join(columns)}) ON {SIGNER_SCHEMA}.{table} TO {{app}}"
            for table, columns in SIGNER_READABLE.items()
            if _exists(connection, f"{SIGNER_SCHEMA}.{table}")
        ]
        statements += [
            f"REVOKE DELETE, TRUNCATE ON {SIGNER_SCHEMA}.{table} FROM {{signer}}"
            for table in KEPT_BY_SIGNER
            if _exists(connection, f"{SIGNER_SCHEMA}.{table}")
        ]
    for statement in statements:
        connection.execute(sql.SQL(statement).format(**names))


def _exists(connection: psycopg.Connection[Any], table: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s)", (table,)).fetchone()
    return row is not None and row[0] is not None
