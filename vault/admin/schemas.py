"""Wire forms of platform settings."""

from typing import Annotated

from pydantic import Field

from vault.schemas import ExactModel, Reply, Timestamp

MAX_VALUE_LENGTH = 4096


class UpdateSettingRequest(ExactModel):
    """A setting's new value; values are text."""

    value: Annotated[str, Field(max_length=MAX_VALUE_LENGTH)]


class SettingResponse(Reply):
    """A stored setting."""

    key: str
    value: str
    updated_by: str
    updated_at: Timestamp


class SettingsListResponse(Reply):
    """A page of stored settings by key; a setting that is not listed has its default."""

    settings: list[SettingResponse]
