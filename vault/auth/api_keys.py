"""Personal API keys (`1ck_`): make, list, revoke."""

from uuid import UUID, uuid4

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.write import write_for
from vault.auth import accounts, keys, mails, outbox
from vault.auth.caller import Caller
from vault.auth.models import ApiKey
from vault.auth.schemas import ApiKeyCreatedReply, ApiKeyReply, CreateApiKeyRequest
from vault.columns import AnyRow
from vault.context import Context
from vault.errors import bad_request, forbidden, not_found
from vault.schemas import Page

_SHOWN = (
    ApiKey.id,
    ApiKey.name,
    ApiKey.key_prefix,
    ApiKey.scopes,
    or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()).label("is_active"),
    ApiKey.created_at,
    ApiKey.expires_at,
    ApiKey.last_used_at,
)


async def create(
    context: Context, connection: AsyncConnection, caller: Caller, request: CreateApiKeyRequest
) -> ApiKeyCreatedReply:
    """Make a key for the caller; its text is in this reply and nowhere else. A mail tells the person.

    Problem 400 for an expiry that is not in the future, 403 for a credential that is itself limited to some paths:
    it could otherwise widen itself.
    """
    if caller.scopes is not None:
        raise forbidden("A key that is limited to some paths may not create keys")
    made = keys.make_key(keys.PERSON)
    statement = (
        insert(ApiKey)
        .values(
            id=uuid4(),
            user_id=caller.id,
            name=request.name,
            key_prefix=made.prefix,
            key_hash=made.digest,
            scopes=request.scopes,
            expires_at=request.expires_at,
        )
        .returning(*_SHOWN)
    )
    row = (await connection.execute(statement)).one()
    if not row.is_active:
        raise bad_request("expires_at: must be in the future", expires_at="must be in the future")
    await write_for(connection, caller, "api_key.create", "api_key", row.id, name=row.name, scopes=list(row.scopes))
    account = await accounts.find_by_id(connection, caller.id)
    if account is not None:
        mail = mails.api_key_created(context.options.public_url.rstrip("/"), row.name)
        await outbox.post(context, connection, to=account.email, subject=mail.subject, text=mail.text)
    return ApiKeyCreatedReply(key=_shown(row), api_key=made.text)


async def listed(connection: AsyncConnection, caller: Caller, page: Page) -> list[ApiKeyReply]:
    """The caller's own keys, newest first; revoked ones are gone."""
    statement = (
        select(*_SHOWN)
        .where(ApiKey.user_id == caller.id, ApiKey.revoked_at.is_(None))
        .order_by(ApiKey.created_at.desc(), ApiKey.id)
        .limit(page.limit)
        .offset(page.offset)
    )
    return [_shown(row) for row in await connection.execute(statement)]


async def revoke(connection: AsyncConnection, caller: Caller, key_id: UUID) -> None:
    """End one of the caller's own keys, and every token exchanged for it, at once; Problem 404 if unknown."""
    statement = (
        update(ApiKey)
        .where(ApiKey.id == key_id, ApiKey.user_id == caller.id, ApiKey.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(ApiKey.id)
    )
    if (await connection.execute(statement)).one_or_none() is None:
        raise not_found("No such API key")
    await write_for(connection, caller, "api_key.revoke", "api_key", key_id)


def _shown(row: AnyRow) -> ApiKeyReply:
    return ApiKeyReply(**row._asdict())
