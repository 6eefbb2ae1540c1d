"""Count something against a limit, and refuse it beyond."""

from vault.context import Context
from vault.errors import Problem
from vault.metrics import counts


async def hit(context: Context, name: str, *identifiers: str) -> None:
    """Count one for these identifiers; Problem 429 with Retry-After (whole seconds) over the limit of that name."""
    wait_s = await context.limits.hit(name, *identifiers)
    if wait_s is not None:
        counts.denied("rate_limit", name)
        raise Problem(
            429,
            f"Too many requests; try again in {wait_s} second{'s' if wait_s > 1 else ''}",
            headers={"Retry-After": str(wait_s)},
        )
