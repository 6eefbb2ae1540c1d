"""Who may read the metrics: the networks that the operator named, else the platform's administrator."""

from fastapi import Request

from vault.auth.authenticate import authenticate, authenticator_of
from vault.auth.client_address import canonical, group_of, parse_networks, within
from vault.auth.origin import FORWARDED
from vault.context import Context
from vault.errors import forbidden
from vault.limits.hit import hit


async def require_reader(request: Request) -> None:
    """Raise 401 or 403 for everybody else, and 429 for too many attempts."""
    context: Context = request.app.state.context
    address = authenticator_of(request).address(request)
    if address is not None and not _passed_on_by_stranger(request, context):
        networks = parse_networks(context.options.metrics_networks)
        if within(address, networks):
            return
    await hit(context, "ip", group_of(address))
    caller = await authenticate(request)
    if not caller.is_platform_admin or caller.is_agent or caller.scopes is not None:
        raise forbidden("Only a platform administrator, or a client in TALON_METRICS_NETWORKS, may read the metrics")


def _passed_on_by_stranger(request: Request, context: Context) -> bool:
    if not any(name in request.headers for name in FORWARDED):
        return False
    peer = canonical(request.client.host if request.client else "")
    return peer is None or not within(peer, parse_networks(context.options.trusted_proxies))
