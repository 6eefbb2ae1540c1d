"""The platform's accounts, listed and closed by its administrator."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.admin.schemas import AdminUser, AdminUsersListResponse
from vault.auth.caller import Caller
from vault.auth.close_account import close_account, lock_platform_admins
from vault.errors import conflict, forbidden
from vault.schemas import Page
from vault.secrets.reach import NOTHING

_PAGE = text(
    """
    SELECT u.id::text, u.email, u.display_name, u.auth_method, u.created_at, u.is_platform_admin, m.role,
           o.id::text AS org_id, o.name AS org_name, o.free_tier_override, o.is_sponsored,
           coalesce(
               CASE WHEN coalesce(o.tier_until > clock_timestamp(), true) THEN o.tier END,
               (SELECT name FROM tiers WHERE is_default LIMIT 1)
           ) AS billing_tier
    FROM users u JOIN memberships m ON m.user_id = u.id JOIN organisations o ON o.id = m.org_id
    WHERE u.deleted_at IS NULL
    ORDER BY u.created_at, u.id
    LIMIT :limit OFFSET :offset
    """
)
# of those that the pages show: whoever pages until the total must come to an end
_TOTAL = text("SELECT count(*) FROM users u JOIN memberships m ON m.user_id = u.id WHERE u.deleted_at IS NULL")


async def listed(connection: AsyncConnection, page: Page) -> AdminUsersListResponse:
    """A page of all accounts, oldest first."""
    rows = (await connection.execute(_PAGE, {"limit": page.limit, "offset": page.offset})).mappings()
    users = [AdminUser(**row) for row in rows]
    return AdminUsersListResponse(users=users, total=(await connection.execute(_TOTAL)).scalar_one())


async def delete(
    connection: AsyncConnection, caller: Caller, user_id: UUID, cleared: frozenset[bytes] = NOTHING
) -> None:
    """Close somebody's account; Problem 409 for the caller's own, so that an administrator is always left.

    AtRisk where signing keys go along whose addresses are not `cleared`.
    """
    if user_id == caller.id:
        raise conflict("You cannot delete your own account here; another platform administrator can")
    # two administrators who delete each other: the second finds that it is none any more
    if caller.id not in await lock_platform_admins(connection):
        raise forbidden("Only a platform administrator may do this")
    await close_account(connection, user_id, actor=caller, cleared=cleared)
