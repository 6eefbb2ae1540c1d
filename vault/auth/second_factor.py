"""A person's second factor: TOTP (RFC 6238: SHA-1, 6 digits, 30 s, one step either way) and recovery codes.

The secret is sealed behind the HSM like every other; a code counts once.
"""

import base64
import re
import secrets
from uuid import UUID

import pyotp
from pyotp.exceptions import OTPVerificationError
from sqlalchemy import delete, extract, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth.keys import digest_of
from vault.auth.models import MfaChallenge, RecoveryCode, SecondFactor
from vault.auth.password_form import typed_code
from vault.columns import AnyRow
from vault.context import Context

# the vault that people's secrets are sealed in: no row of vaults, only a key at the signer
PEOPLE = UUID("7a1e0000-0000-4000-8000-000000000001")
ISSUER = "Talon"
RECOVERY_CODES = 8
_SIX_DIGITS = re.compile(r"[0-9]{6}", re.ASCII)


async def find(connection: AsyncConnection, user_id: UUID) -> AnyRow | None:
    """Somebody's second factor, confirmed or not, and the database's time in seconds."""
    statement = select(
        SecondFactor.user_id,
        SecondFactor.sealed,
        SecondFactor.confirmed_at.is_not(None).label("is_confirmed"),
        extract("epoch", func.clock_timestamp()).label("now"),
    ).where(SecondFactor.user_id == user_id)
    return (await connection.execute(statement)).one_or_none()


async def sealed_secret(context: Context, user_id: UUID) -> tuple[str, bytes]:
    """A new secret in base32, and how it is kept."""
    secret = pyotp.random_base32()
    await context.signer.create_vault_key(PEOPLE)
    return secret, await context.signer.seal(PEOPLE, _bound_to(user_id), secret.encode())


async def begin(connection: AsyncConnection, user_id: UUID, sealed: bytes) -> bool:
    """Keep a secret until it is confirmed, in place of one that was not; False if one is confirmed already."""
    statement = upsert(SecondFactor).values(user_id=user_id, sealed=sealed)
    added = await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[SecondFactor.user_id],
            set_={"sealed": sealed, "last_step": 0, "created_at": func.now()},
            where=SecondFactor.confirmed_at.is_(None),
        ).returning(SecondFactor.user_id)
    )
    return added.one_or_none() is not None


def uri(secret: str, email: str) -> str:
    """What an authenticator app reads as a QR code."""
    return pyotp.TOTP(secret, name=email, issuer=ISSUER).provisioning_uri()


async def step_of(context: Context, factor: AnyRow, code: str) -> int | None:
    """The time step that a code is right for; None for a wrong one."""
    digits = typed_code(code)
    if not _SIX_DIGITS.fullmatch(digits):
        return None
    secret = await context.signer.open(PEOPLE, _bound_to(factor.user_id), factor.sealed)
    try:
        return pyotp.TOTP(secret.decode()).verify_and_get_timecode(digits, for_time=int(factor.now), valid_window=1)
    except OTPVerificationError:
        return None


async def confirm(connection: AsyncConnection, factor: AnyRow, step: int) -> list[str] | None:
    """Have the factor count from now on and return its recovery codes; None if it was replaced or confirmed."""
    confirmed = await connection.execute(
        update(SecondFactor)
        .where(SecondFactor.user_id == factor.user_id, SecondFactor.confirmed_at.is_(None))
        .where(SecondFactor.sealed == factor.sealed)
        .values(confirmed_at=func.now(), last_step=step)
        .returning(SecondFactor.user_id)
    )
    if confirmed.one_or_none() is None:
        return None
    codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
    await connection.execute(delete(RecoveryCode).where(RecoveryCode.user_id == factor.user_id))
    await connection.execute(
        insert(RecoveryCode),
        [{"user_id": factor.user_id, "code_hash": digest_of(typed_code(code))} for code in codes],
    )
    return codes


async def take(connection: AsyncConnection, user_id: UUID, code: str, step: int | None) -> str | None:
    """Use up a code: one of a `step` later than every one before, or a recovery code. What it was, or None."""
    if step is not None:
        statement = (
            update(SecondFactor)
            .where(SecondFactor.user_id == user_id, SecondFactor.confirmed_at.is_not(None))
            .where(SecondFactor.last_step < step)
            .values(last_step=step)
            .returning(SecondFactor.user_id)
        )
        return "totp" if (await connection.execute(statement)).one_or_none() is not None else None
    recovery = (
        update(RecoveryCode)
        .where(RecoveryCode.user_id == user_id, RecoveryCode.code_hash == digest_of(typed_code(code)))
        .where(RecoveryCode.used_at.is_(None))
        .values(used_at=func.now())
        .returning(RecoveryCode.user_id)
    )
    return "recovery_code" if (await connection.execute(recovery)).one_or_none() is not None else None


async def remove(connection: AsyncConnection, user_id: UUID) -> bool:
    """Forget the factor, its recovery codes and what waits for it; False if there was none that counted."""
    await connection.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    await connection.execute(delete(MfaChallenge).where(MfaChallenge.user_id == user_id))
    removed = await connection.execute(
        delete(SecondFactor).where(SecondFactor.user_id == user_id).returning(SecondFactor.confirmed_at)
    )
    return removed.scalar_one_or_none() is not None


def _recovery_code() -> str:
    """80 random bits in base32, in groups of four."""
    text = base64.b32encode(secrets.token_bytes(10)).decode()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _bound_to(user_id: UUID) -> bytes:
    return b"talon/totp/v1" + user_id.bytes
