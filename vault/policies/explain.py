"""May this principal do this, and why? The answer comes from the very decision that its requests meet."""

from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth.caller import Caller
from vault.auth.client_address import canonical
from vault.context import Context
from vault.errors import not_found
from vault.policies.access import Access, load_access
from vault.policies.decide import Granted, Permission, Refused, judge
from vault.policies.principals import Principal, load_principal
from vault.policies.schemas import AccessQuestion, AccessResponse, ConsideredPolicy, DecidingPolicy
from vault.schemas import format_time
from vault.secrets import repository as secrets
from vault.secrets.paths import check_path
from vault.secrets.types import CLOSED_TO_INTENTS
from vault.security.blocked import blocks

MAX_CONSIDERED = 100
# what came closest to granting is told first
_NEAREST = ("match", "conditions", "permission", "pattern", "expired", "principal")


async def explain_access(
    context: Context, caller: Caller, vault_id: UUID, question: AccessQuestion
) -> AccessResponse:
    """Answer whoever manages the vault (403 for others, 404 for an unknown vault or principal)."""
    path = check_path(question.path)
    async with context.database.begin() as transaction:
        (await load_access(transaction, caller, vault_id)).require_manager()
        principal = await load_principal(
            transaction,
            caller.org_id,
            question.principal_type,
            question.principal_id,
            None if question.ip is None else canonical(str(question.ip)),
        )
        if principal is None:
            raise not_found(f"There is no {question.principal_type} with this id")
        access = await load_access(transaction, principal.caller, vault_id)
        if question.at is not None:
            access = replace(access, now=question.at)
        if await blocks(transaction, caller.org_id, question.principal_type, principal.caller.ip_address):
            principal = replace(principal, is_blocked=True)
        closed = await _closed_type(transaction, principal.caller, vault_id, path, question.permission)
    return _answer(principal, access, path, question.permission, closed)


async def _closed_type(
    transaction: AsyncConnection, caller: Caller, vault_id: UUID, path: str, permission: Permission
) -> str | None:
    """The type of what lies at the path, when agents with Intents never read such."""
    if not caller.intents_api_enabled or permission != "read":
        return None
    row = await secrets.current(transaction, vault_id, path)
    return row["type"] if row is not None and row["type"] in CLOSED_TO_INTENTS else None


def _answer(
    principal: Principal, access: Access, path: str, permission: Permission, closed: str | None
) -> AccessResponse:
    considered = _considered(access, path, permission)
    decision = access.decide(path, permission)
    barred = principal.barred_at(access.now)
    if barred is not None:
        return AccessResponse(allowed=False, step="principal", detail=barred, considered=considered)
    if principal.is_blocked:
        detail = "The IP rules of this organisation do not allow access from this address"
        return AccessResponse(allowed=False, step="address", detail=detail, considered=considered)
    if isinstance(decision, Refused):
        return AccessResponse(allowed=False, step=decision.step, detail=decision.detail, considered=considered)
    if closed is not None:
        detail = f"Agents with the Intents API cannot read secrets of type {closed}"
        return AccessResponse(allowed=False, step="intents", detail=detail, considered=considered)
    return _granted(decision, considered)


def _granted(decision: Granted, considered: list[ConsideredPolicy]) -> AccessResponse:
    grant = decision.grant
    if grant is None:
        detail = "It created this vault"
        return AccessResponse(allowed=True, step=decision.by, detail=detail, considered=considered)
    return AccessResponse(
        allowed=True,
        step=decision.by,
        detail=f"The policy on {grant.pattern} grants this"
        + (f" until {format_time(grant.expires_at)}" if grant.expires_at is not None else ""),
        policy_id=str(grant.id),
        policy=DecidingPolicy(
            pattern=grant.pattern, permissions=sorted(grant.permissions), expires_at=grant.expires_at
        ),
        considered=considered,
    )


def _considered(access: Access, path: str, permission: Permission) -> list[ConsideredPolicy]:
    judged = [
        ConsideredPolicy(
            policy_id=str(grant.id),
            pattern=grant.pattern,
            outcome=judge(grant, access.caller, access.vault, path, permission, access.now),
        )
        for grant in access.grants
    ]
    judged.sort(key=lambda each: _NEAREST.index(each.outcome))
    return judged[:MAX_CONSIDERED]
