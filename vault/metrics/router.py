"""GET /metrics, for Prometheus."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from vault.metrics.access import require_reader
from vault.metrics.page import CONTENT_TYPE
from vault.metrics.service import Scraper, scraper_of

router = APIRouter(tags=["Health"])


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(
    _: Annotated[None, Depends(require_reader)], scraper: Annotated[Scraper, Depends(scraper_of)]
) -> Response:
    """Counts of all processes and gauges of this moment."""
    return Response(await scraper.page(), media_type=CONTENT_TYPE)
