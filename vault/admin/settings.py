"""Platform settings as the rest of Talon reads them: a stored value, or the default."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

REQUIRE_SIMULATION: Final = "intents_api.require_simulation"


@dataclass(frozen=True)
class Known:
    """A setting that means something; `choices` are all the values it takes, spelt just so."""

    default: str
    choices: frozenset[str]


_SWITCH: Final = frozenset({"true", "false"})

KNOWN: Final[dict[str, Known]] = {REQUIRE_SIMULATION: Known(default="true", choices=_SWITCH)}

_SELECT = text("SELECT value FROM admin_settings WHERE key = :key")


async def get_setting(transaction: AsyncConnection | AsyncSession, key: str) -> str | None:
    """The value of `key` as it stands in this transaction, its default, or None for a key nobody knows."""
    stored = (await transaction.execute(_SELECT, {"key": key})).scalar_one_or_none()
    if stored is not None:
        return str(stored)
    return KNOWN[key].default if key in KNOWN else None
