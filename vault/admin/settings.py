"""Platform settings as the rest of Talon reads them: a stored value, or the default."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

REQUIRE_SIMULATION: Final = "intents_api.require_simulation"

DEFAULTS: Final[dict[str, str]] = {REQUIRE_SIMULATION: "true"}

# settings with a closed set of values: a misspelt "False" must not be taken for anything
CHOICES: Final[dict[str, frozenset[str]]] = {REQUIRE_SIMULATION: frozenset({"true", "false"})}

_SELECT = text("SELECT value FROM admin_settings WHERE key = :key")


async def get_setting(transaction: AsyncConnection | AsyncSession, key: str) -> str | None:
    """The value of `key` as it stands in this transaction, its default, or None for a key nobody knows."""
    stored = (await transaction.execute(_SELECT, {"key": key})).scalar_one_or_none()
    return DEFAULTS.get(key) if stored is None else str(stored)
