"""An agent's identity: an Ed25519 pair to sign with and a P-256 pair to agree on keys with.

The public halves stand on the agent's record; the private ones are ordinary sealed secrets in the organisation's
agent-keys vault, which an agent reads only if a policy says so (and never with the Intents API).
"""

import base64
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy.ext.asyncio import AsyncConnection

from signer.client import SignerClient
from vault.agents import keys_vault
from vault.auth.caller import Caller
from vault.policies import repository as policies
from vault.secrets.types import PRIVATE_KEY
from vault.secrets.write import NewVersion, take_place
from vault.secrets.write import store as write_secret


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
        # ours to seal, whatever key the organisation's clients encrypt their own values with
        place = replace(await take_place(connection, vault_id, path), cmek_fingerprint=None)
        # base64 on purpose: what reads as 64 hex digits would be imported to sign transactions
        await write_secret(connection, signer, caller, place, _new_version(value))
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


def _new_version(value: str) -> NewVersion:
    return NewVersion(
        type=PRIVATE_KEY, value=value, metadata={}, expires_at=None, rotation_policy=None, max_access_count=None
    )


def _folder(agent_id: UUID) -> str:
    return f"agents/{agent_id}"


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
