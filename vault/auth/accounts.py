"""Statements about people's accounts and signups; each finds or changes rows and decides nothing."""

from uuid import UUID, uuid4

from sqlalchemy import and_, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth.models import EmailToken, User
from vault.columns import AnyRow
from vault.orgs.models import Membership

VERIFY_EMAIL = "verify_email"
VERIFY_EMAIL_HOURS = 24


async def find_by_email(connection: AsyncConnection, email: str) -> AnyRow | None:
    """The account of a (lower-case) address, with what a login needs."""
    statement = (
        select(
            User.id,
            User.password_hash,
            User.token_version,
            Membership.org_id,
            and_(User.is_active, User.deleted_at.is_(None), User.email_verified).label("is_live"),
        )
        .join(Membership, Membership.user_id == User.id)
        .where(User.email == email)
    )
    return (await connection.execute(statement)).one_or_none()


async def create_user(
    connection: AsyncConnection,
    *,
    email: str,
    password_hash: str | None,
    display_name: str,
    is_platform_admin: bool = False,
) -> UUID | None:
    """Insert a person with a verified address and return the id; None if the address is taken."""
    statement = (
        insert(User)
        .values(
            id=uuid4(),
            email=email,
            password_hash=password_hash,
            display_name=display_name,
            email_verified=True,
            is_platform_admin=is_platform_admin,
        )
        .on_conflict_do_nothing(index_elements=[User.email])
        .returning(User.id)
    )
    return (await connection.execute(statement)).scalar_one_or_none()


async def set_password_hash(connection: AsyncConnection, user_id: UUID, password_hash: str) -> None:
    """Replace the stored hash (the password stays the same)."""
    await connection.execute(update(User).where(User.id == user_id).values(password_hash=password_hash))


async def add_signup(
    connection: AsyncConnection, *, token_hash: bytes, email: str, password_hash: str, display_name: str
) -> None:
    """Keep a signup until its address is confirmed (24 h)."""
    await connection.execute(
        insert(EmailToken).values(
            token_hash=token_hash,
            purpose=VERIFY_EMAIL,
            email=email,
            password_hash=password_hash,
            display_name=display_name,
            expires_at=func.now() + text(f"interval '{VERIFY_EMAIL_HOURS} hours'"),
        )
    )


async def take_signup(connection: AsyncConnection, token_hash: bytes) -> AnyRow | None:
    """Use up the token of a waiting signup; None if it is unknown, used or expired."""
    statement = (
        update(EmailToken)
        .where(
            EmailToken.token_hash == token_hash,
            EmailToken.purpose == VERIFY_EMAIL,
            EmailToken.used_at.is_(None),
            EmailToken.expires_at > func.now(),
        )
        .values(used_at=func.now())
        .returning(EmailToken.email, EmailToken.password_hash, EmailToken.display_name)
    )
    return (await connection.execute(statement)).one_or_none()


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
        )
        .join(Membership, Membership.user_id == User.id)
        .where(User.id == user_id)
    )
    return (await connection.execute(statement)).one()
