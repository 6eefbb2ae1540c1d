"""Wire forms of the health checks."""

from typing import Literal

from pydantic import Field

from vault.schemas import Reply


class HealthResponse(Reply):
    """Whether the instance can do its main job, as this API process sees it: 200 with `healthy`, else 503."""

    status: Literal["healthy", "degraded"]
    service: str
    version: str
    # both only when there is something to say: strict clients know the other three alone
    reasons: list[str] | None = Field(default=None, description="Why it is degraded, a sentence each")
    notes: list[str] | None = Field(default=None, description="What is true and does not stop the main job")


class HsmHealthResponse(Reply):
    """Whether the HSM can be used, and what its custody checks at the signer's start found."""

    status: Literal["ok", "degraded", "unavailable"]
    hsm_provider: str
    connected: bool
    custody_checks: dict[str, str] | None = None
