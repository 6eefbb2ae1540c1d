"""Who may read the metrics: the networks that the operator named, else the platform's administrator."""

from ipaddress import ip_address

from fastapi import Request

from vault.auth.authenticate import authenticate, authenticator_of
from vault.auth.client_address import parse_networks
from vault.context import Context
from vault.errors import forbidden
from vault.limits.hit import hit
from vault.limits.middleware import group_of

# somebody passed the request on; from a proxy that is not trusted, the peer's address says nothing about the client
FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")


async def require_reader(request: Request) -> None:
    """Raise 401 or 403 for everybody else, and 429 for too many attempts."""
    context: Context = request.app.state.context
    address = authenticator_of(request).address(request)
    if address is not None and not _passed_on_by_stranger(request, context):
        networks = parse_networks(context.options.metrics_networks)
        if any(ip_address(address) in network for network in networks):
            return
    await hit(context, "ip", group_of(address))
    caller = await authenticate(request)
    if not caller.is_platform_admin or caller.is_agent or caller.scopes is not None:
        raise forbidden("Only a platform administrator, or a client in TALON_METRICS_NETWORKS, may read the metrics")


def _passed_on_by_stranger(request: Request, context: Context) -> bool:
    if not any(name in request.headers for name in FORWARDED):
        return False
    peer = request.client.host if request.client else ""
    try:
        parsed = ip_address(peer)
    except ValueError:
        return True
    return not any(parsed in network for network in parse_networks(context.options.trusted_proxies))
