"""Wire forms of the health checks."""

from typing import Literal

from vault.schemas import Reply


class HealthResponse(Reply):
    """Whether this API process can serve requests."""

    status: Literal["healthy", "degraded"]
    service: str
    version: str


class HsmHealthResponse(Reply):
    """Whether the HSM can be used, and what its custody checks at the signer's start found."""

    status: Literal["ok", "degraded", "unavailable"]
    hsm_provider: str
    connected: bool
    custody_checks: dict[str, str] | None = None
