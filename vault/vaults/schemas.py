"""Wire forms of vaults."""

from typing import Annotated

from pydantic import Field

from vault.schemas import ExactModel, NullIsDefault, Reply, StrictModel, Timestamp

MAX_NAME_LENGTH = 255
MAX_DESCRIPTION_LENGTH = 4096


class CreateVaultRequest(StrictModel):
    """A new vault; `mpc_custody` is read only in order to refuse it."""

    name: str
    description: Annotated[str, NullIsDefault, Field(max_length=MAX_DESCRIPTION_LENGTH)] = ""
    mpc_custody: str | None = None


class RestoreVaultRequest(ExactModel):
    """The name a restored vault is to have; its own unless another vault has that by now."""

    name: str | None = None


class VaultResponse(Reply):
    """A vault; `created_by` is a bare id, its kind is beside it.

    Where clients encrypt with a key of their own before they send, `cmek_enabled` is true and `cmek_fingerprint`
    names the key; elsewhere both are left out.
    """

    id: str
    name: str
    description: str
    created_by: str
    created_by_type: str
    created_at: Timestamp
    cmek_enabled: bool | None = None
    cmek_fingerprint: str | None = None


class VaultListResponse(Reply):
    """A page of vaults, oldest first."""

    vaults: list[VaultResponse]
