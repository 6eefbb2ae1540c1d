"""/v1/auth/me and /v1/auth/export-data: a person's own account."""

from fastapi import APIRouter

from vault.audit.write import write_for
from vault.auth import accounts
from vault.auth.close_account import close_account
from vault.auth.dependencies import Human, WholePerson
from vault.auth.export import export
from vault.auth.parameters import Ctx
from vault.auth.profile_schemas import DeleteAccountRequest, ExportReply, UpdateProfileRequest
from vault.auth.schemas import ProfileReply
from vault.errors import bad_request
from vault.problem_replies import TO_BE_CONFIRMED
from vault.secrets.confirm import ConfirmNumber, with_word

router = APIRouter(prefix="/v1/auth", tags=["auth"])

CONFIRMATION = "DELETE MY ACCOUNT"


@router.get("/me")
async def me(caller: Human, context: Ctx) -> ProfileReply:
    """The caller's own account."""
    async with context.database.begin() as connection:
        row = await accounts.profile(connection, caller.id)
    return ProfileReply(**row._asdict())


@router.patch("/me")
async def update_me(body: UpdateProfileRequest, caller: WholePerson, context: Ctx) -> ProfileReply:
    """Change the name, or whether other mails than necessary ones are welcome."""
    changes = body.model_dump(exclude_none=True)
    if "display_name" in changes:
        changes["display_name"] = changes["display_name"].strip()
    async with context.database.begin() as connection:
        if changes:
            await accounts.update_profile(connection, caller.id, changes)
            await write_for(connection, caller, "user.update", "user", caller.id, changed=sorted(changes))
        row = await accounts.profile(connection, caller.id)
    return ProfileReply(**row._asdict())


@router.delete("/me", status_code=204, responses=TO_BE_CONFIRMED)
async def delete_me(
    body: DeleteAccountRequest, caller: WholePerson, context: Ctx, confirm: ConfirmNumber = None
) -> None:
    """Close the account; every credential ends at once. The last owner of others must pass the role on first."""
    if CONFIRMATION not in (body.confirmation, body.confirm):
        raise bad_request(f'confirmation: must be "{CONFIRMATION}"', confirmation=f'must be "{CONFIRMATION}"')

    async def attempt(cleared: frozenset[bytes]) -> None:
        async with context.database.begin() as connection:
            await close_account(connection, caller.id, actor=caller, cleared=cleared)

    await with_word(context, confirm, "number", attempt)


@router.post("/export-data")
async def export_data(caller: WholePerson, context: Ctx) -> ExportReply:
    """Everything held about the caller, without values."""
    return await export(context, caller)
