"""Statements about people's accounts and mailed tokens; each finds or changes rows and decides nothing."""

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth.models import EmailToken, MfaChallenge, SecondFactor, User, WebSession
from vault.columns import AnyRow
from vault.orgs.models import Membership

VERIFY_EMAIL = "verify_email"
VERIFY_EMAIL_HOURS = 24
RESET_PASSWORD = "reset_password"  # noqa: S105 - what a mailed token is for
RESET_PASSWORD_HOURS = 1
KNOW_DEVICE = "know_device"
KNOW_DEVICE_HOURS = 1


_ACCOUNT = (
    select(
        User.id,
        User.email,
        User.password_hash,
        User.google_subject,
        User.token_version,
        Membership.org_id,
        Membership.role,
        and_(User.is_active, User.deleted_at.is_(None), User.email_verified).label("is_live"),
        SecondFactor.confirmed_at.is_not(None).label("has_second_factor"),
    )
    .join(Membership, Membership.user_id == User.id)
    .outerjoin(SecondFactor, SecondFactor.user_id == User.id)
)


async def find_by_email(connection: AsyncConnection, email: str) -> AnyRow | None:
    """The account of a (lower-case) address, with what a login needs."""
    return (await connection.execute(_ACCOUNT.where(User.email == email))).one_or_none()


async def find_by_google(connection: AsyncConnection, subject: str) -> AnyRow | None:
    """The account that a Google account is linked to."""
    return (await connection.execute(_ACCOUNT.where(User.google_subject == subject))).one_or_none()


async def find_by_id(connection: AsyncConnection, user_id: UUID) -> AnyRow | None:
    """The same by id."""
    return (await connection.execute(_ACCOUNT.where(User.id == user_id))).one_or_none()


async def create_user(
    connection: AsyncConnection,
    *,
    email: str,
    password_hash: str | None,
    display_name: str,
    is_platform_admin: bool = False,
    google_subject: str | None = None,
) -> UUID | None:
    """Insert a person with a verified address and return the id; None if the address (or subject) is taken."""
    statement = (
        insert(User)
        .values(
            id=uuid4(),
            email=email,
            password_hash=password_hash,
            display_name=display_name,
            email_verified=True,
            is_platform_admin=is_platform_admin,
            auth_method="password" if google_subject is None else "google",
            google_subject=google_subject,
        )
        .on_conflict_do_nothing()
        .returning(User.id)
    )
    return (await connection.execute(statement)).scalar_one_or_none()


async def hold_password(connection: AsyncConnection, user_id: UUID, was: str) -> bool:
    """Whether `was` is the hash of a live account still; then it stays so until the transaction ends."""
    statement = select(User.id).where(User.id == user_id, User.password_hash == was)
    statement = statement.where(User.is_active, User.deleted_at.is_(None))
    held = await connection.execute(statement.with_for_update(key_share=True))
    return held.one_or_none() is not None


async def set_password_hash(connection: AsyncConnection, user_id: UUID, password_hash: str) -> None:
    """Replace the stored hash, which is held (the password stays the same)."""
    await connection.execute(update(User).where(User.id == user_id).values(password_hash=password_hash))


async def change_password(
    connection: AsyncConnection, user_id: UUID, password_hash: str, *, was: str | None = None
) -> bool:
    """Set a new password and end every token and session; False if the account is closed or `was` is not its hash."""
    is_expected = User.password_hash.is_not(None) if was is None else User.password_hash == was
    changed = await connection.execute(
        update(User)
        .where(User.id == user_id, User.is_active, User.deleted_at.is_(None), is_expected)
        .values(password_hash=password_hash, token_version=User.token_version + 1)
        .returning(User.id)
    )
    if changed.one_or_none() is None:
        return False
    await end_logins(connection, user_id)
    return True


async def end_logins(connection: AsyncConnection, user_id: UUID) -> None:
    """Forget sessions and half-done logins; tokens end with the account's `token_version`."""
    await connection.execute(delete(WebSession).where(WebSession.user_id == user_id))
    await connection.execute(delete(MfaChallenge).where(MfaChallenge.user_id == user_id))
    await connection.execute(
        update(EmailToken)
        .where(EmailToken.email == select(User.email).where(User.id == user_id).scalar_subquery())
        .where(EmailToken.purpose.in_([RESET_PASSWORD, KNOW_DEVICE]), EmailToken.used_at.is_(None))
        .values(used_at=func.now())
    )


async def add_signup(
    connection: AsyncConnection, *, token_hash: bytes, email: str, password_hash: str, display_name: str
) -> None:
    """Keep a signup until its address is confirmed (24 h)."""
    held = {"password_hash": password_hash, "display_name": display_name}
    await _keep(connection, VERIFY_EMAIL, VERIFY_EMAIL_HOURS, token_hash=token_hash, email=email, **held)


async def add_reset(connection: AsyncConnection, *, token_hash: bytes, email: str, user_id: UUID) -> None:
    """Keep a mailed right to set a new password (1 h)."""
    named = {"token_hash": token_hash, "email": email, "user_id": user_id}
    await _keep(connection, RESET_PASSWORD, RESET_PASSWORD_HOURS, **named)


async def add_device_link(connection: AsyncConnection, *, token_hash: bytes, email: str, user_id: UUID) -> None:
    """Keep a mailed right to make a device known (1 h)."""
    await _keep(connection, KNOW_DEVICE, KNOW_DEVICE_HOURS, token_hash=token_hash, email=email, user_id=user_id)


async def _keep(connection: AsyncConnection, purpose: str, hours: int, **held: Any) -> None:
    until = func.now() + text(f"interval '{hours} hours'")
    await connection.execute(insert(EmailToken).values(purpose=purpose, expires_at=until, **held))


async def is_waiting(connection: AsyncConnection, token_hash: bytes, purpose: str) -> bool:
    """Whether a mailed token could be used."""
    found = await connection.execute(select(EmailToken.purpose).where(*_waiting(token_hash, purpose)))
    return found.one_or_none() is not None


async def take_token(connection: AsyncConnection, token_hash: bytes, purpose: str) -> AnyRow | None:
    """Use up a mailed token; None if it is unknown, used or expired."""
    statement = (
        update(EmailToken)
        .where(*_waiting(token_hash, purpose))
        .values(used_at=func.now())
        .returning(EmailToken.email, EmailToken.user_id, EmailToken.password_hash, EmailToken.display_name)
    )
    return (await connection.execute(statement)).one_or_none()


def _waiting(token_hash: bytes, purpose: str) -> tuple[ColumnElement[bool], ...]:
    return (
        EmailToken.token_hash == token_hash,
        EmailToken.purpose == purpose,
        EmailToken.used_at.is_(None),
        EmailToken.expires_at > func.now(),
    )


async def update_profile(connection: AsyncConnection, user_id: UUID, changes: dict[str, Any]) -> None:
    """Change columns of an account."""
    await connection.execute(update(User).where(User.id == user_id).values(**changes))


async def profile(connection: AsyncConnection, user_id: UUID) -> AnyRow:
    """What a person sees of its own account."""
    statement = (
        select(
            User.id,
            User.email,
            User.display_name,
            User.auth_method,
            User.email_verified,
            User.marketing_emails,
            User.created_at,
            Membership.role,
            Membership.org_id,
            SecondFactor.confirmed_at.is_not(None).label("totp_enabled"),
        )
        .join(Membership, Membership.user_id == User.id)
        .outerjoin(SecondFactor, SecondFactor.user_id == User.id)
        .where(User.id == user_id)
    )
    return (await connection.execute(statement)).one()
