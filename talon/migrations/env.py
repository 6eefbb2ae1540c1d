"""Alembic's environment: both metadatas, one history, always on the connection that `talon.migrate` hands over."""

from alembic import context

import intents.models
import intents.outside.models
import intents.restored.models  # noqa: F401 - importing is what registers the tables
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

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=[vault.db.metadata, signer.models.metadata],
    include_schemas=True,
    compare_type=True,
    compare_server_default=False,
)
with context.begin_transaction():
    context.run_migrations()
