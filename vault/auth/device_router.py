"""/v1/auth/device: logging a command line in."""

from typing import Annotated

from fastapi import APIRouter, Path

from vault.auth import device
from vault.auth.dependencies import WholePerson
from vault.auth.device_schemas import (
    DeviceCodeReply,
    DeviceCodeRequest,
    DeviceDecisionReply,
    DeviceDecisionRequest,
    DeviceStatusReply,
    DeviceTokenReply,
    DeviceTokenRequest,
)
from vault.auth.parameters import Address, Ctx

router = APIRouter(prefix="/v1/auth/device", tags=["auth"])


@router.post("/code")
async def code(body: DeviceCodeRequest, context: Ctx) -> DeviceCodeReply:
    """Begin: a code for the person and one to poll with."""
    return await device.begin(context, body.client_id, body.email)


@router.post("/token")
async def token(body: DeviceTokenRequest, context: Ctx, address: Address) -> DeviceTokenReply:
    """Ask whether the person has said yes; what went wrong is in `error`, with 200."""
    return await device.poll(context, body.device_code, body.grant_type, address)


@router.get("/code/{user_code}")
async def status(
    user_code: Annotated[str, Path(max_length=32, pattern=r"^[A-Za-z -]+$")], context: Ctx, address: Address
) -> DeviceStatusReply:
    """How the login of a code is."""
    return await device.status(context, user_code, address)


@router.post("/approve")
async def approve(body: DeviceDecisionRequest, caller: WholePerson, context: Ctx) -> DeviceDecisionReply:
    """Let the command line act as you."""
    await device.decide(context, caller, body.user_code, "approved")
    return DeviceDecisionReply(status="approved", message="The device is signed in.")


@router.post("/deny")
async def deny(body: DeviceDecisionRequest, caller: WholePerson, context: Ctx) -> DeviceDecisionReply:
    """Turn the command line away."""
    await device.decide(context, caller, body.user_code, "denied")
    return DeviceDecisionReply(status="denied", message="The device was turned away.")
