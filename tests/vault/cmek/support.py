"""A client that encrypts before it sends, as the TypeScript SDK does it, written without the product's code."""

import base64
import hashlib
import os
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.support.vault_api import Tenant
from tests.support.world import until


@dataclass(frozen=True)
class Key:
    """A customer's key as the customer holds it."""

    raw: bytes = field(default_factory=lambda: os.urandom(32))

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def header(self) -> str:
        return base64.b64encode(self.raw).decode()

    def encrypt(self, text: str) -> str:
        nonce = os.urandom(12)
        return base64.b64encode(b"\x01" + nonce + AESGCM(self.raw).encrypt(nonce, text.encode(), None)).decode()

    def decrypt(self, blob: str) -> str:
        raw = base64.b64decode(blob)
        assert raw[0] == 1
        return AESGCM(self.raw).decrypt(raw[1:13], raw[13:], None).decode()

    def decrypts(self, blob: str) -> str | None:
        """The text, or None when it is under another key."""
        try:
            return self.decrypt(blob)
        except InvalidTag:
            return None


def headers(old: Key, new: Key) -> dict[str, str]:
    return {"X-CMEK-Old-Key": old.header, "X-CMEK-New-Key": new.header}


@dataclass
class Vault:
    """A vault whose owner encrypts with a key of his own, and rotates it."""

    tenant: Tenant
    id: str
    old: Key
    new: Key

    @classmethod
    async def make(cls, tenant: Tenant) -> "Vault":
        made = cls(tenant, await tenant.vault(), Key(), Key())
        answer = await made.http.post(f"{made.url}/cmek", json={"fingerprint": made.old.fingerprint})
        assert answer.status_code == 200, answer.text
        return made

    @property
    def url(self) -> str:
        return f"/v1/vaults/{self.id}"

    @property
    def http(self) -> httpx.AsyncClient:
        return self.tenant.as_(self.tenant.owner)

    async def put(self, path: str, text: str, key: Key | None = None) -> None:
        await self.tenant.put(self.id, path, (key or self.old).encrypt(text))

    async def value(self, path: str) -> str:
        answer = await self.http.get(f"{self.url}/secrets/{path}")
        assert answer.status_code == 200, answer.text
        assert answer.json()["cmek_encrypted"] is True
        return str(answer.json()["value"])

    async def rotate(self, http: httpx.AsyncClient | None = None, **changes: Any) -> httpx.Response:
        body = {"new_fingerprint": self.new.fingerprint}
        return await (http or self.http).post(
            f"{self.url}/cmek-rotate", json=body, headers=headers(self.old, self.new) | changes
        )

    async def started(self, http: httpx.AsyncClient | None = None) -> dict[str, Any]:
        answer = await self.rotate(http)
        assert answer.status_code == 202, answer.text
        assert answer.json()["status"] == "running"
        return dict(answer.json())

    async def job(self, job_id: str, http: httpx.AsyncClient | None = None) -> dict[str, Any]:
        answer = await (http or self.http).get(f"{self.url}/cmek-rotate/{job_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def ended(self, job_id: str) -> dict[str, Any]:
        async def look() -> Any:
            shown = await self.job(job_id)
            return shown if shown["status"] != "running" else None

        return dict(await until(look, 20, "the rotation's end", every_s=0.02))

    async def fingerprints(self) -> list[str]:
        rows = await self.tenant.rows(
            "SELECT cmek_fingerprint FROM secret_versions v JOIN secrets s ON s.id = v.secret_id"
            " WHERE vault_id = :id ORDER BY path, version",
            id=UUID(self.id),
        )
        return [row["cmek_fingerprint"] for row in rows]

    async def set_job(self, what: str) -> None:
        sql = f"UPDATE cmek_rotations SET {what} WHERE vault_id = :id RETURNING 1"  # noqa: S608 - the tests' own
        await self.tenant.rows(sql, id=UUID(self.id))
