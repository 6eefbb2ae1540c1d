"""Ask the signer: what the API and the worker know of it. Loads neither the PKCS#11 module nor any of its code.

One connection, many requests in flight, each with a deadline. When it breaks, requests that change nothing are asked
once more on a new one; the others fail as unavailable: their outcome is unknown, and an approval redeemed meanwhile
stays redeemed.
"""

import asyncio
import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from chains.transactions import Transaction, to_fields
from guardrails.approval import Approval
from signer.errors import ProtocolError, SignerUnavailable
from signer.protocol import (
    VERSION,
    approval_to_args,
    bytes_of,
    encode_frame,
    error_of,
    message_of,
    read_frame,
    to_text,
)
from signer.token_order import LONGEST_S, TokenOrder, to_args

REPEATABLE: Final = frozenset(
    {
        *("health", "jwt_keys", "issue_token", "create_vault_key", "rotate_vault_key", "seal", "open", "rewrap"),
        *("audit_keys", "audit_head", "sign_audit_head"),
    }
)


@dataclass(frozen=True)
class SignerHealth:
    """How the signer is; `custody_checks` says `refused` for every attack its keys stood at its start."""

    ok: bool
    provider: str
    custody_checks: dict[str, str]
    keys_loaded: int
    version: int


@dataclass(frozen=True)
class PublicKeyInfo:
    """A key's public side: 20-byte address, 65-byte uncompressed point."""

    key_id: UUID
    address: bytes
    public_key: bytes


@dataclass(frozen=True)
class SignedTransaction:
    """Raw bytes ready to send, their hash, and the sender they recover to."""

    raw: bytes = field(repr=False)
    hash: bytes
    sender: bytes


@dataclass(frozen=True)
class JwtKey:
    """A key that tokens verify against (32-byte Ed25519 public key); a retired one as long as a token may live."""

    kid: str
    public_key: bytes
    created_at: datetime
    retired_at: datetime | None

    @property
    def counts_until(self) -> datetime | None:
        """From when on nothing that it signed counts any more; None for the current key."""
        return None if self.retired_at is None else self.retired_at + timedelta(seconds=LONGEST_S)


@dataclass(frozen=True)
class IssuedToken:
    """A new token and its id (`jti`)."""

    token: str = field(repr=False)
    token_id: str


@dataclass(frozen=True)
class AuditKey:
    """A key that audit heads verify against: 32-byte Ed25519 public key."""

    kid: str
    public_key: bytes
    retired: bool


@dataclass(frozen=True)
class AuditHead:
    """The newest head the signer signed for an organisation; `integrity_hash` in hex."""

    position: int
    integrity_hash: str


@dataclass(frozen=True)
class AuditAdvance:
    """How far an organisation's signed heads reach, whether the chain goes on behind, and seals that do not fit."""

    position: int
    is_more: bool
    faults: int


class _Broken(Exception):  # noqa: N818 - reads as what it says
    """The connection broke while a request was on its way: nobody knows what became of it."""


class _Connection:
    """One connection with many requests in flight."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ids = itertools.count(1)
        self._reading = asyncio.create_task(self._read(reader))

    @property
    def usable(self) -> bool:
        """Whether another request may go this way."""
        return not self._reading.done() and not self._writer.is_closing()

    async def exchange(self, operation: str, args: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        number = next(self._ids)
        frame = encode_frame({"v": VERSION, "id": number, "op": operation, "args": args})
        answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answered
        try:
            self._writer.write(frame)
            await self._writer.drain()
            return await answered
        except OSError:
            raise _Broken("the connection to the signer broke") from None
        finally:
            self._waiting.pop(number, None)

    async def close(self) -> None:
        """Hang up; what was in flight fails."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while (body := await read_frame(reader)) is not None:
                message = message_of(body)
                future = self._waiting.get(message["id"])
                if future is not None and not future.done():
                    future.set_result(message)
        except (ProtocolError, OSError):
            pass  # the same as a hang-up: what was in flight fails below, and the next request connects anew
        finally:
            self._writer.close()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(_Broken("the signer hung up"))


class SignerClient:
    """`timeout_s` bounds every request, connecting included."""

    def __init__(self, socket_path: str, timeout_s: float = 10.0) -> None:
        self._path, self._timeout_s = socket_path, timeout_s
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()

    async def health(self) -> SignerHealth:
        """Is it there, and did its keys stand the attack?"""
        return SignerHealth(**await self._ask("health", {}))

    async def generate_key(self, key_id: UUID) -> PublicKeyInfo:
        """Have a key born in the HSM; InvalidKey when the id is taken."""
        return _key_info(await self._ask("generate_key", {"key_id": str(key_id)}))

    async def import_key(self, key_id: UUID, private_key: bytes) -> PublicKeyInfo:
        """Hand over 32 bytes; InvalidKey unless they are a secp256k1 private key."""
        return _key_info(await self._ask("import_key", {"key_id": str(key_id), "private_key": to_text(private_key)}))

    async def sign_transaction(self, approval: Approval, transaction: Transaction) -> SignedTransaction:
        """Redeem an approval for a signature; ApprovalRefused, DigestStands, KeyNotFound or SignerUnavailable."""
        ok = await self._ask(
            "sign_transaction",
            {"approval": approval_to_args(approval), "transaction": to_fields(transaction)},
        )
        return SignedTransaction(bytes_of(ok, "raw"), bytes_of(ok, "hash"), bytes_of(ok, "sender"))

    async def create_vault_key(self, vault_id: UUID) -> None:
        """See to it that the vault has a key-encryption key."""
        await self._ask("create_vault_key", {"vault_id": str(vault_id)})

    async def rotate_vault_key(self, vault_id: UUID, version: int) -> int:
        """Give the vault a key of this version, if it has none yet; returns its newest version."""
        return int((await self._ask("rotate_vault_key", {"vault_id": str(vault_id), "version": version}))["version"])

    async def rewrap(self, vault_id: UUID, context: bytes, sealed: bytes, version: int) -> bytes:
        """Have what was sealed under an older key sealed under this one; SealBroken when it does not open."""
        args = {"vault_id": str(vault_id), "context": to_text(context), "sealed": to_text(sealed), "version": version}
        return bytes_of(await self._ask("rewrap", args), "sealed")

    async def seal(self, vault_id: UUID, context: bytes, plaintext: bytes) -> bytes:
        """Encrypt for exactly this vault and context."""
        args = {"vault_id": str(vault_id), "context": to_text(context), "plaintext": to_text(plaintext)}
        return bytes_of(await self._ask("seal", args), "sealed")

    async def open(self, vault_id: UUID, context: bytes, sealed: bytes) -> bytes:
        """Decrypt; SealBroken unless it was sealed for this vault and context."""
        args = {"vault_id": str(vault_id), "context": to_text(context), "sealed": to_text(sealed)}
        return bytes_of(await self._ask("open", args), "plaintext")

    async def issue_token(self, order: TokenOrder) -> IssuedToken:
        """A token from now on; ProtocolError for an unknown kind or too long a lifetime."""
        ok = await self._ask("issue_token", to_args(order))
        return IssuedToken(str(ok["token"]), str(ok["jti"]))

    async def jwt_keys(self) -> list[JwtKey]:
        """The keys tokens verify against, newest first."""
        ok = await self._ask("jwt_keys", {})
        return [
            JwtKey(
                each["kid"],
                bytes_of(each, "public_key"),
                _moment(each["created_at_us"]),
                None if each["retired_at_us"] is None else _moment(each["retired_at_us"]),
            )
            for each in ok["keys"]
        ]

    async def rotate_jwt_key(self, *, at_once: bool = False) -> str:
        """Have tokens signed with a new key from now on; returns its kid.

        What older keys signed counts on while it lives, unless they are to end `at_once`.
        """
        return str((await self._ask("rotate_jwt_key", {"at_once": at_once}))["kid"])

    async def sign_audit_head(self, org_id: UUID) -> AuditAdvance:
        """Have the next piece of an audit chain looked at and its head signed and kept.

        AuditHeadRefused when the chain contradicts a head that was signed before, or has a hole.
        """
        ok = await self._ask("sign_audit_head", {"org_id": str(org_id)})
        return AuditAdvance(int(ok["position"]), bool(ok["is_more"]), int(ok["faults"]))

    async def audit_head(self, org_id: UUID) -> AuditHead | None:
        """The newest head signed for an organisation, by the signer's own record."""
        ok = await self._ask("audit_head", {"org_id": str(org_id)})
        return AuditHead(int(ok["position"]), str(ok["integrity_hash"])) if ok else None

    async def audit_keys(self) -> list[AuditKey]:
        """The keys audit heads verify against, newest first."""
        ok = await self._ask("audit_keys", {})
        return [AuditKey(each["kid"], bytes_of(each, "public_key"), each["retired"]) for each in ok["keys"]]

    async def close(self) -> None:
        """Hang up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _ask(self, operation: str, args: dict[str, Any]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._answer(operation, args)
        except TimeoutError:
            raise SignerUnavailable("the signer does not answer in time") from None
        except _Broken as error:
            raise SignerUnavailable(str(error)) from None
        if "ok" in answer:
            return dict(answer["ok"])
        raise error_of(answer)

    async def _answer(self, operation: str, args: dict[str, Any]) -> dict[str, Any]:
        try:
            return await (await self._connected()).exchange(operation, args)
        except _Broken:
            # A signer restarts within the second. What changes nothing may be asked again, the rest not: a key may
            # have been made, an approval redeemed.
            if operation not in REPEATABLE:
                raise
            return await (await self._connected()).exchange(operation, args)

    async def _connected(self) -> _Connection:
        async with self._connecting:
            if self._connection is None or not self._connection.usable:
                try:
                    reader, writer = await asyncio.open_unix_connection(self._path)
                except OSError:
                    raise SignerUnavailable("the signer is not there") from None
                self._connection = _Connection(reader, writer)
            return self._connection


def _moment(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def _key_info(ok: dict[str, Any]) -> PublicKeyInfo:
    return PublicKeyInfo(UUID(ok["key_id"]), bytes_of(ok, "address"), bytes_of(ok, "public_key"))
