"""/v1/health: public, without credentials."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from vault.context import Context, context_of
from vault.health.schemas import HealthResponse, HsmHealthResponse
from vault.health.service import Probe, probe_of

router = APIRouter(prefix="/v1/health", tags=["Health"])

SERVICE = "talon"


@router.get("", responses={503: {"model": HealthResponse, "description": "The main job cannot be done"}})
async def get_health(
    response: Response,
    probe: Annotated[Probe, Depends(probe_of)],
    context: Annotated[Context, Depends(context_of)],
) -> HealthResponse:
    """Say whether the instance can do its main job: database, signer, worker and disk."""
    state = await probe.state()
    if not state.healthy:
        response.status_code = 503
    return HealthResponse(
        status="healthy" if state.healthy else "degraded",
        service=SERVICE,
        version=context.options.version,
        reasons=list(state.reasons) or None,
        notes=list(state.notes) or None,
    )


@router.get("/hsm")
async def get_hsm_health(probe: Annotated[Probe, Depends(probe_of)]) -> HsmHealthResponse:
    """Say whether the HSM can be used and how its custody checks went."""
    signer = (await probe.state()).signer
    if signer is None:
        return HsmHealthResponse(status="unavailable", hsm_provider="unknown", connected=False)
    return HsmHealthResponse(
        status="ok" if signer.ok else "degraded",
        hsm_provider=signer.provider,
        connected=True,
        custody_checks=dict(signer.custody_checks),
    )
