"""An agent's identity: an Ed25519 pair to sign with and a P-256 pair to agree on keys with.

The public halves stand on the agent's record; the private ones are ordinary sealed secrets in the organisation's
agent-keys vault, which an agent reads only if a policy says so (and never with the Intents API).
"""

import base64
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy.ext.asyncio import AsyncConnection

from signer.client import SignerClient
from vault.agents import keys_vault
from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.policies import repository as policies
from vault.secrets import repository as secrets
from vault.secrets.context import seal_context
from vault.secrets.types import PRIVATE_KEY


@dataclass(frozen=True)
class IdentityKeys:
    """Both pairs in the documented forms, all base64: 32-byte seed and scalar, 32-byte key, 65-byte point."""

    ssh_public: str
    ecdh_public: str
    ssh_private: str = field(repr=False)
    ecdh_private: str = field(repr=False)


def make_keys() -> IdentityKeys:
    """New pairs from the operating system's randomness."""
    ssh = ed25519.Ed25519PrivateKey.generate()
    ecdh = ec.generate_private_key(ec.SECP256R1())
    point = ecdh.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return IdentityKeys(
        ssh_public=_base64(ssh.public_key().public_bytes_raw()),
        ecdh_public=_base64(point),
        ssh_private=_base64(ssh.private_bytes_raw()),
        ecdh_private=_base64(ecdh.private_numbers().private_value.to_bytes(32, "big")),
    )


async def store(
    connection: AsyncConnection, signer: SignerClient, caller: Caller, agent_id: UUID, made: IdentityKeys
) -> UUID:
    """Seal the private halves as the newest versions at their paths, in the caller's transaction; the vault's id."""
    vault_id = await keys_vault.ensure(connection, signer, caller)
    for kind, value in (("ssh", made.ssh_private), ("ecdh", made.ecdh_private)):
        path = f"{_folder(agent_id)}/{kind}/private_key"
        secret_id, version = await secrets.next_version(connection, vault_id, path)
        # sealed, never imported: these are no keys of a chain, and their owner has to read them
        sealed = await signer.seal(vault_id, seal_context(vault_id, path, version), value.encode())
        await secrets.add_version(
            connection,
            {
                "secret_id": secret_id,
                "version": version,
                "type": PRIVATE_KEY,
                "sealed": sealed,
                "metadata": {},
                "created_by": caller.id,
                "created_by_type": caller.kind,
            },
        )
        details = {"vault_id": str(vault_id), "path": path, "version": version, "type": PRIVATE_KEY}
        await write_for(connection, caller, "secret.write", "secret", secret_id, **details)
    return vault_id


async def grant_to_registrar(connection: AsyncConnection, caller: Caller, vault_id: UUID, agent_id: UUID) -> None:
    """Let the person who registers an agent read its identity keys: by a policy, visible and revocable."""
    row = await policies.create(
        connection,
        {
            "id": uuid4(),
            "vault_id": vault_id,
            "secret_path_pattern": f"{_folder(agent_id)}/**",
            "principal_type": caller.kind,
            "principal_id": caller.id,
            "permissions": ["read"],
            "created_by": caller.id,
            "created_by_type": caller.kind,
        },
    )
    await policies.write_change(connection, caller, "policy.create", row)


def _folder(agent_id: UUID) -> str:
    return f"agents/{agent_id}"


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
