"""Wire forms of vaults."""

from typing import Annotated

from pydantic import Field

from vault.schemas import NullIsDefault, Reply, StrictModel, Timestamp

MAX_NAME_LENGTH = 255
MAX_DESCRIPTION_LENGTH = 4096


class CreateVaultRequest(StrictModel):
    """A new vault; `mpc_custody` is read only in order to refuse it."""

    name: str
    description: Annotated[str, NullIsDefault, Field(max_length=MAX_DESCRIPTION_LENGTH)] = ""
    mpc_custody: str | None = None


class VaultResponse(Reply):
    """A vault; `created_by` is a bare id, its kind is beside it."""

    id: str
    name: str
    description: str
    created_by: str
    created_by_type: str
    created_at: Timestamp


class VaultListResponse(Reply):
    """A page of vaults, oldest first."""

    vaults: list[VaultResponse]
