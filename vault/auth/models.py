"""People, their keys, second factors, sessions, lock-outs, mailed tokens and the mail outbox."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Boolean, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column

from vault.db import Base


class User(Base):
    """A human; `email` is stored lower-case. A higher `token_version` ends every JWT issued before."""

    __tablename__ = "users"
    __table_args__ = (Index("ix_users_created_at_id", "created_at", "id"),)

    id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True, default=uuid4)
    email: Mapped[str] = mapped_column(Text, unique=True)
    password_hash: Mapped[str | None] = mapped_column(Text)
    display_name: Mapped[str] = mapped_column(Text, default="", server_default="")
    auth_method: Mapped[str] = mapped_column(Text, default="password", server_default="password")
    # the subject of the identity provider (Google) that vouches for this account
    google_subject: Mapped[str | None] = mapped_column(Text, unique=True)
    email_verified: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))
    marketing_emails: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))
    is_active: Mapped[bool] = mapped_column(Boolean, default=True, server_default=text("true"))
    is_platform_admin: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))
    token_version: Mapped[int] = mapped_column(Integer, default=1, server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
    deleted_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))


class ApiKey(Base):
    """A person's `1ck_` key: only its SHA-256 is kept, found by the key's first 12 characters."""

    __tablename__ = "api_keys"
    __table_args__ = (
        Index("ix_api_keys_key_prefix", "key_prefix"),
        Index("ix_api_keys_user_id_created_at", "user_id", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(Text)
    key_prefix: Mapped[str] = mapped_column(Text)
    key_hash: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    last_used_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))


class RevokedToken(Base):
    """The `jti` of a JWT that must not count any more; kept until the token has expired anyway."""

    __tablename__ = "revoked_tokens"
    __table_args__ = (Index("ix_revoked_tokens_expires_at", "expires_at"),)

    jti: Mapped[str] = mapped_column(Text, primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True))
    revoked_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())


class EmailToken(Base):
    """A mailed token and what it stands for; only its SHA-256 is kept, and it counts once.

    `purpose` is verify_email (a signup that waits, with its `password_hash`), reset_password (of `user_id`),
    know_device (of `user_id`) or invite (to `org_id` as `role`).
    """

    __tablename__ = "email_tokens"
    __table_args__ = (
        CheckConstraint("purpose IN ('verify_email', 'reset_password', 'know_device', 'invite')", name="purpose"),
        Index("ix_email_tokens_expires_at", "expires_at"),
        Index("ix_email_tokens_email_purpose", "email", "purpose"),
    )

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    purpose: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)
    user_id: Mapped[UUID | None] = mapped_column(PgUUID(as_uuid=True))
    org_id: Mapped[UUID | None] = mapped_column(PgUUID(as_uuid=True))
    role: Mapped[str | None] = mapped_column(Text)
    password_hash: Mapped[str | None] = mapped_column(Text)
    display_name: Mapped[str] = mapped_column(Text, default="", server_default="")
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True))
    used_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))


class SecondFactor(Base):
    """A person's TOTP secret (RFC 6238), sealed by the signer; it counts once it is confirmed.

    `last_step` is the newest time step a code was taken for: no code counts twice.
    """

    __tablename__ = "second_factors"

    user_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), ForeignKey("users.id"), primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    last_step: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
    confirmed_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))


class RecoveryCode(Base):
    """A code that stands in for the second factor once; only its SHA-256 is kept (the codes are random)."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), ForeignKey("users.id"), primary_key=True)
    code_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    used_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))


class MfaChallenge(Base):
    """A password that was right and still lacks its second factor: 300 s, single use, few tries."""

    __tablename__ = "mfa_challenges"
    __table_args__ = (Index("ix_mfa_challenges_expires_at", "expires_at"),)

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), ForeignKey("users.id"))
    token_version: Mapped[int] = mapped_column(Integer)
    method: Mapped[str] = mapped_column(Text)
    tries: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    expires_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True))
    used_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))


class Lockout(Base):
    """Failed log-ins of one account from one place, from one address, or of one account from all that it does not
    know, and until when no further one is let in.

    `subject` is the SHA-256 of what is locked, known or not: the table does not tell which addresses exist.
    """

    __tablename__ = "lockouts"
    __table_args__ = (Index("ix_lockouts_last_failed_at", "last_failed_at"),)

    subject: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    last_failed_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True))
    locked_until: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))


class KnownPlace(Base):
    """A device or an address from which a person has logged in; others' failed log-ins do not lock it.

    `digest` is the SHA-256 of the device's cookie, or of the address and the account.
    """

    __tablename__ = "known_places"
    __table_args__ = (
        Index("ix_known_places_user_id", "user_id"),
        Index("ix_known_places_expires_at", "expires_at"),
    )

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True))


class DeviceCode(Base):
    """A command-line login that waits for a person's yes (RFC 8628); only the SHA-256 of the device code is kept."""

    __tablename__ = "device_codes"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'approved', 'denied', 'used')", name="status"),
        Index("ix_device_codes_expires_at", "expires_at"),
    )

    code_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_code: Mapped[str] = mapped_column(Text, unique=True)
    client_id: Mapped[str] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text, default="pending", server_default="pending")
    user_id: Mapped[UUID | None] = mapped_column(PgUUID(as_uuid=True), ForeignKey("users.id"))
    token_version: Mapped[int | None] = mapped_column(Integer)
    polled_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True))


class WebSession(Base):
    """A person signed in with a browser; only the SHA-256 of the cookie is kept.

    It ends at `expires_at`, when revoked, or when the person's `token_version` moves on.
    """

    __tablename__ = "web_sessions"
    __table_args__ = (
        Index("ix_web_sessions_user_id", "user_id"),
        Index("ix_web_sessions_expires_at", "expires_at"),
    )

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), ForeignKey("users.id"))
    token_version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True))


class OutboxMail(Base):
    """A mail written in the transaction that causes it; the worker sends it when SMTP is configured."""

    __tablename__ = "outbox_mails"
    __table_args__ = (
        Index("ix_outbox_mails_recipient_created_at", "recipient", "created_at"),
        Index("ix_outbox_mails_unsent", "next_try_at", postgresql_where=text("sent_at IS NULL")),
        Index("ix_outbox_mails_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(PgUUID(as_uuid=True), primary_key=True, default=uuid4)
    recipient: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    # sealed by the signer: a mail may hold a token that still counts
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
    sent_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    tries: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    next_try_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.clock_timestamp())
