"""Wire forms of members and invitations."""

from typing import Annotated, Literal

from pydantic import Field

from vault.schemas import ExactModel, Identifier, NullIsDefault, Reply, Timestamp

Role = Literal["owner", "admin", "member"]


class OrgMemberResponse(Reply):
    """A person in the caller's organisation."""

    id: str
    email: str
    display_name: str
    role: Role
    auth_method: str
    created_at: Timestamp


class OrgMemberListResponse(Reply):
    """A page of members, by when they joined."""

    members: list[OrgMemberResponse]


class UpdateMemberRoleRequest(ExactModel):
    """A member's new role."""

    role: Role


class InviteMemberRequest(ExactModel):
    """Whom to invite, and as what (default: member)."""

    email: Annotated[str, Field(max_length=320)]
    role: Annotated[Role, NullIsDefault()] = "member"


class InviteMemberResponse(Reply):
    """Said of every address alike."""

    message: str
    email: str


class InvitationResponse(Reply):
    """An invitation to the caller's own address that may be accepted until it expires."""

    org_id: str
    org_name: str
    role: Role
    created_at: Timestamp
    expires_at: Timestamp


class InvitationListResponse(Reply):
    """A page of the caller's invitations, newest first."""

    invitations: list[InvitationResponse]


class AcceptInvitationRequest(ExactModel):
    """The token of the mail; or, for somebody signed in with the invited address, whose invitation it is."""

    token: Annotated[str | None, Field(max_length=512, repr=False)] = None
    org_id: Identifier | None = None


class AcceptInvitationResponse(Reply):
    """Where the caller belongs from now on; tokens and sessions from before do not count any more."""

    message: str
    org_id: str
    role: Role
