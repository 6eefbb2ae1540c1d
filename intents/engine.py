"""What the engine keeps in memory, per process; all of it may be lost at any moment."""

from dataclasses import dataclass, field
from typing import cast

from fastapi import Request

from intents.broadcast import Broadcaster
from intents.queue import WalletQueue


@dataclass(frozen=True)
class Engine:
    """The turn-taking of requests before the locks, and the lines to the chain after the commit."""

    queue: WalletQueue = field(default_factory=WalletQueue)
    broadcaster: Broadcaster = field(default_factory=Broadcaster)


async def engine_of(request: Request) -> Engine:
    """FastAPI dependency: the engine of the running application."""
    return cast(Engine, request.app.state.engine)
