"""Wire forms of secrets. Only `SecretResponse` has a value, and no repr shows it."""

import json
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from vault.schemas import ExactModel, NullIsDefault, Reply, StrictModel, Timestamp
from vault.secrets.random_value import MAX_RANDOM, MIN_RANDOM, Charset
from vault.secrets.types import TYPES

MAX_INT32 = 2**31 - 1
MAX_METADATA_BYTES = 64 * 1024


def _bounded(value: dict[str, Any] | None) -> dict[str, Any] | None:
    if value is not None and len(json.dumps(value)) > MAX_METADATA_BYTES:
        raise ValueError(f"must not exceed {MAX_METADATA_BYTES} bytes as JSON")
    return value


class _Version(StrictModel):
    """What may be said of any new version. `secret_type` is some clients' spelling of `type`."""

    type: str | None = None
    secret_type: str | None = None
    expires_at: Timestamp | None = None
    rotation_policy: dict[str, Any] | None = None
    max_access_count: Annotated[int, Field(ge=0, le=MAX_INT32)] | None = None

    _bounds = field_validator("metadata", "rotation_policy", check_fields=False)(_bounded)

    @field_validator("type", "secret_type")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in TYPES:
            raise ValueError(f"must be one of {', '.join(sorted(TYPES))}")
        return name

    @model_validator(mode="after")
    def _one_type(self) -> Self:
        if self.type is not None and self.secret_type is not None and self.type != self.secret_type:
            raise ValueError("type and secret_type differ; send one of them")
        return self

    @property
    def named_type(self) -> str | None:
        """The type the body names, in whichever spelling; None when it names none."""
        return self.type if self.type is not None else self.secret_type


class PutSecretRequest(_Version):
    """A new version of a secret."""

    value: str = Field(repr=False)
    metadata: Annotated[dict[str, Any], NullIsDefault] = Field(default_factory=dict)


class RotateSecretRequest(_Version):
    """The next version of a secret: `value`, or else a random one of `length` characters out of `charset`.

    Type, metadata and rotation policy stay as they are unless given; expiry and read limit are of one version.
    """

    value: str | None = Field(default=None, repr=False)
    length: Annotated[int, NullIsDefault] = Field(default=32, ge=MIN_RANDOM, le=MAX_RANDOM)
    charset: Annotated[Charset, NullIsDefault] = "hex"
    metadata: dict[str, Any] | None = None


class GenerateKeyRequest(StrictModel):
    """What to note beside a signing key that is generated in place."""

    metadata: Annotated[dict[str, Any], NullIsDefault] = Field(default_factory=dict)
    expires_at: Timestamp | None = None

    _bounds = field_validator("metadata")(_bounded)

    @field_validator("metadata")
    @classmethod
    def _not_exportable(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        if metadata.get("exportable") is True:
            raise ValueError("a key generated in the HSM can never be exported")
        return metadata


class RestoreSecretRequest(ExactModel):
    """Where a signing key is to lie, by the word of an owner or admin, because another lies at its path by now."""

    path: str | None = None


class ExtendVersionRequest(ExactModel):
    """The end a version is to have; null is none."""

    expires_at: Timestamp | None


class SecretMetadataResponse(Reply):
    """A version of a secret without its value; metadata of a signing key also says its `address`.

    `is_disabled` and `cmek_encrypted` (its owner encrypted it and has to decrypt it) are there only when true.
    """

    id: str
    path: str
    type: str
    version: int
    metadata: dict[str, Any]
    created_at: Timestamp
    expires_at: Timestamp | None
    is_disabled: bool | None = None
    cmek_encrypted: bool | None = None


class SecretCreatedResponse(SecretMetadataResponse):
    """The answer to storing or generating: metadata only."""


class SecretResponse(SecretMetadataResponse):
    """A secret with its value."""

    value: str = Field(repr=False)
    created_by: str


class SecretListResponse(Reply):
    """A page of secrets by path, newest version each."""

    secrets: list[SecretMetadataResponse]


class SecretVersionListResponse(Reply):
    """A page of a secret's versions, newest first."""

    versions: list[SecretMetadataResponse]
