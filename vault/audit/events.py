"""Pages of the audit log, newest first: what a caller may see of it, by any filter, at the cost of one page."""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.models import AuditEvent, AuditSeal
from vault.audit.schemas import AuditEventResponse, AuditEventsResponse, Filter
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import not_found
from vault.schemas import Page

_E, _S = AuditEvent.__table__.c, AuditSeal.__table__.c


async def list_events(context: Context, caller: Caller, wanted: Filter, page: Page) -> AuditEventsResponse:
    """Owners and admins see all of the organisation, everybody else what they did themselves."""
    async with context.database.statements() as connection:
        conditions = [*_visible(caller), *_conditions(wanted)]
        if wanted.before is not None:
            conditions.append(await _older_than(connection, caller, wanted))
        rows = (await connection.execute(page_of(conditions, wanted, page))).mappings().all()
    events = [AuditEventResponse(**row) for row in rows]
    return AuditEventsResponse(events=events, count=len(events))


def page_of(conditions: list[ColumnElement[bool]], wanted: Filter, page: Page) -> Select[Any]:
    """The statement of a page: events first, cut to the page, then each one's seal."""
    if wanted.agent_id is None:
        events = _newest(conditions).limit(page.limit).offset(page.offset).subquery()
    else:
        # each half ends at an index; an OR of the two would sort everything
        agent, enough = str(wanted.agent_id), page.limit + page.offset
        by = _newest([*conditions, _E.actor_id == agent]).limit(enough).subquery()
        about = _newest([*conditions, _E.resource_id == agent, _E.actor_id != agent]).limit(enough).subquery()
        both = union_all(select(by), select(about)).subquery()
        order = (both.c.created_at.desc(), both.c.sequence.desc())
        events = select(both).order_by(*order).limit(page.limit).offset(page.offset).subquery()
    shown = [column for column in events.c if column.name != "sequence"]
    return (
        select(*shown, _S.prev_event_id, _S.integrity_hash)
        .select_from(events.outerjoin(AuditSeal.__table__, _S.event_id == events.c.id))
        .order_by(events.c.created_at.desc(), events.c.sequence.desc())
    )


def _newest(conditions: list[ColumnElement[bool]]) -> Select[Any]:
    return select(*_E).where(and_(*conditions)).order_by(_E.created_at.desc(), _E.sequence.desc())


def _visible(caller: Caller) -> list[ColumnElement[bool]]:
    own = [_E.org_id == caller.org_id]
    # a key narrowed to some paths manages nothing, so it oversees nothing
    if caller.is_org_admin and caller.scopes is None:
        return own
    return [*own, _E.actor_id == str(caller.id)]


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    conditions = [_E[name] == value for name, value in wanted.columns.items()]
    if wanted.since is not None:
        conditions.append(_E.created_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(_E.created_at <= wanted.until)
    return conditions


async def _older_than(connection: AsyncConnection, caller: Caller, wanted: Filter) -> ColumnElement[bool]:
    named = select(_E.created_at, _E.sequence).where(_E.id == wanted.before, *_visible(caller))
    row = (await connection.execute(named)).one_or_none()
    if row is None:
        raise not_found("No such audit event")
    return tuple_(_E.created_at, _E.sequence) < tuple_(row.created_at, row.sequence)
