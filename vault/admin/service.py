"""List, set and reset platform settings."""

import re
from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import Table, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from vault.admin.models import AdminSetting
from vault.admin.schemas import SettingResponse
from vault.admin.settings import CHOICES
from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.db import Database
from vault.errors import bad_request, not_found
from vault.schemas import Page

_TABLE = cast(Table, AdminSetting.__table__)
_KEY = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*", re.ASCII)
MAX_KEY_LENGTH = 128


async def list_settings(database: Database, page: Page) -> list[SettingResponse]:
    """A page of what differs from the defaults."""
    query = select(_TABLE).order_by(_TABLE.c.key).limit(page.limit).offset(page.offset)
    async with database.begin() as transaction:
        rows = (await transaction.execute(query)).mappings().all()
    return [_shown(row) for row in rows]


async def put_setting(database: Database, caller: Caller, key: str, value: str) -> SettingResponse:
    """Store a setting; 400 for a key or value that cannot be one. The audit names the key only."""
    if len(key) > MAX_KEY_LENGTH or not _KEY.fullmatch(key):
        raise bad_request(f"key: lower-case words joined by dots, at most {MAX_KEY_LENGTH} characters")
    choices = CHOICES.get(key)
    if choices is not None and value not in choices:
        raise bad_request(f"value: {key} is one of {', '.join(sorted(choices))}")
    values = {"value": value, "updated_by": caller.id, "updated_at": func.clock_timestamp()}
    statement = insert(_TABLE).values(key=key, **values)
    statement = statement.on_conflict_do_update(index_elements=[_TABLE.c.key], set_=values)
    async with database.begin() as transaction:
        row = (await transaction.execute(statement.returning(*_TABLE.c))).mappings().one()
        await write_for(transaction, caller, "setting.update", "setting", key)
    return _shown(row)


async def delete_setting(database: Database, caller: Caller, key: str) -> None:
    """Return a setting to its default; 404 when it is not stored."""
    async with database.begin() as transaction:
        found = await transaction.execute(delete(_TABLE).where(_TABLE.c.key == key))
        if found.rowcount == 0:
            raise not_found("Setting not found")
        await write_for(transaction, caller, "setting.delete", "setting", key)


def _shown(row: Mapping[Any, Any]) -> SettingResponse:
    return SettingResponse(
        key=row["key"], value=row["value"], updated_by=str(row["updated_by"]), updated_at=row["updated_at"]
    )
