"""FastAPI dependencies that say who calls and refuse whoever may not."""

from typing import Annotated

from fastapi import Depends, Request

from vault.auth.authenticate import authenticate
from vault.auth.caller import Caller
from vault.errors import forbidden


async def caller(request: Request) -> Caller:
    """Whoever presents a valid credential; 401 otherwise. Re-checked in the database on every request."""
    return await authenticate(request)


async def human(who: Annotated[Caller, Depends(caller)]) -> Caller:
    """A person; 403 for agents."""
    if who.is_agent:
        raise forbidden("Only a human may do this; agents have no access")
    return who


async def whole_person(who: Annotated[Caller, Depends(human)]) -> Caller:
    """A person with a credential that is not narrowed to some paths: it could otherwise widen itself."""
    if who.scopes is not None:
        raise forbidden("This API key is limited to some paths and may not change the account")
    return who


async def org_admin(who: Annotated[Caller, Depends(human)]) -> Caller:
    """An owner or admin of the organisation; 403 for agents, members and keys narrowed to some paths.

    A narrowed key is refused because it could otherwise grant to an agent what it may not read itself.
    """
    if not who.is_org_admin:
        raise forbidden("Only an owner or admin of the organisation may do this")
    if who.scopes is not None:
        raise forbidden("This API key is limited to some paths and may not manage the organisation")
    return who


async def agent(who: Annotated[Caller, Depends(caller)]) -> Caller:
    """An agent; 403 for people."""
    if not who.is_agent:
        raise forbidden("Only an agent may do this")
    return who


async def platform_admin(who: Annotated[Caller, Depends(human)]) -> Caller:
    """The platform's administrator; 403 for everybody else."""
    if not who.is_platform_admin or who.scopes is not None:
        raise forbidden("Only a platform administrator may do this")
    return who


AnyCaller = Annotated[Caller, Depends(caller)]
Human = Annotated[Caller, Depends(human)]
WholePerson = Annotated[Caller, Depends(whole_person)]
OrgAdmin = Annotated[Caller, Depends(org_admin)]
AgentCaller = Annotated[Caller, Depends(agent)]
PlatformAdmin = Annotated[Caller, Depends(platform_admin)]
