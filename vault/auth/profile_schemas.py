"""Bodies of /v1/auth/me and /v1/auth/export-data."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from vault.schemas import Reply, StrictModel, Timestamp


class UpdateProfileRequest(StrictModel):
    """PATCH /v1/auth/me; what is left out or null stays as it is."""

    display_name: Annotated[str | None, Field(max_length=255)] = None
    marketing_emails: bool | None = None


class DeleteAccountRequest(StrictModel):
    """DELETE /v1/auth/me; some clients say `confirm`."""

    confirmation: Annotated[str | None, Field(max_length=64)] = None
    confirm: Annotated[str | None, Field(max_length=64)] = None


class ExportedUser(Reply):
    """The person."""

    id: UUID
    email: str
    display_name: str
    auth_method: str
    created_at: Timestamp


class ExportedThing(Reply):
    """A vault or an agent."""

    id: UUID
    name: str
    created_at: Timestamp


class ExportedSecret(Reply):
    """A secret's newest version, without its value."""

    vault_id: UUID
    path: str
    type: str
    version: int
    created_at: Timestamp


class ExportedPolicy(Reply):
    """Who may do what, in one of the exported vaults or as this person."""

    id: UUID
    vault_id: UUID
    principal_type: str
    principal_id: UUID
    secret_path_pattern: str
    permissions: list[str]
    created_at: Timestamp


class ExportReply(Reply):
    """POST /v1/auth/export-data. `truncated` names the lists that hold more than is exported at once."""

    export_version: str = "1.0"
    exported_at: Timestamp
    user: ExportedUser
    vaults: list[ExportedThing]
    agents: list[ExportedThing]
    secrets_metadata: list[ExportedSecret]
    policies: list[ExportedPolicy]
    truncated: list[str] | None = None
