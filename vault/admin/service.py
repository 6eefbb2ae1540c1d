"""List, set and reset platform settings."""

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import Table, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.admin.models import AdminSetting
from vault.admin.schemas import SettingResponse
from vault.admin.settings import KNOWN, get_setting
from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.errors import bad_request, not_found
from vault.schemas import Page

_TABLE = cast(Table, AdminSetting.__table__)
# readers go on; the next change waits, so that its audit row names the value it really replaced
_ONE_AT_A_TIME = text("LOCK TABLE admin_settings IN SHARE ROW EXCLUSIVE MODE")


async def list_settings(connection: AsyncConnection, page: Page) -> list[SettingResponse]:
    """A page of what differs from the defaults."""
    query = select(_TABLE).order_by(_TABLE.c.key).limit(page.limit).offset(page.offset)
    return [_shown(row) for row in (await connection.execute(query)).mappings()]


async def put_setting(connection: AsyncConnection, caller: Caller, key: str, value: str) -> SettingResponse:
    """Store a setting; 400 for a key that nothing reads, or a value that it does not take."""
    known = KNOWN.get(key)
    if known is None:
        raise bad_request(f"key: there is no such setting; known are: {', '.join(sorted(KNOWN))}")
    if value not in known.choices:
        raise bad_request(f"value: {key} is one of {', '.join(sorted(known.choices))}")
    await connection.execute(_ONE_AT_A_TIME)
    old = await get_setting(connection, key)
    values = {"value": value, "updated_by": caller.id, "updated_at": func.clock_timestamp()}
    statement = insert(_TABLE).values(key=key, **values)
    statement = statement.on_conflict_do_update(index_elements=[_TABLE.c.key], set_=values)
    row = (await connection.execute(statement.returning(*_TABLE.c))).mappings().one()
    await write_for(connection, caller, "setting.update", "setting", key, old=old, new=value)
    return _shown(row)


async def delete_setting(connection: AsyncConnection, caller: Caller, key: str) -> None:
    """Return a setting to its default; 404 when it is not stored."""
    await connection.execute(_ONE_AT_A_TIME)
    found = await connection.execute(delete(_TABLE).where(_TABLE.c.key == key).returning(_TABLE.c.value))
    old = found.scalar_one_or_none()
    if old is None:
        raise not_found("Setting not found")
    new = await get_setting(connection, key)
    await write_for(connection, caller, "setting.delete", "setting", key, old=old, new=new)


def _shown(row: Mapping[Any, Any]) -> SettingResponse:
    return SettingResponse(
        key=row["key"], value=row["value"], updated_by=str(row["updated_by"]), updated_at=row["updated_at"]
    )
