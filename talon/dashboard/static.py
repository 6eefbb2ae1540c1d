"""The one style sheet."""

from fastapi import APIRouter
from fastapi.responses import FileResponse

from talon.dashboard.render import HERE

router = APIRouter(include_in_schema=False)


@router.get("/static/talon.css")
async def style() -> FileResponse:
    """What every page looks like."""
    return FileResponse(
        HERE / "static" / "talon.css", media_type="text/css", headers={"Cache-Control": "max-age=300"}
    )
