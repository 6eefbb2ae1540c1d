"""How a command gets at the instance's database, whether the instance runs or not."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from talon.cli.outcome import CommandError
from talon.database import Urls, external
from talon.home import HomeInUse, home_lock
from talon.layout import Layout
from talon.postgres import EmbeddedPostgres
from talon.settings import Settings


@dataclass(frozen=True)
class Access:
    """The database is there for as long as the `with` of `opened` lasts. `is_running`: the instance runs too."""

    urls: Urls
    layout: Layout
    is_running: bool


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Access]:
    """The database of the running instance; of a stopped one, which nobody can start meanwhile, the embedded server
    alone is started for the moment (it dies with the calling thread, so call from the main one).

    CommandError or HomeError when there is no instance in this home, or it belongs to another user. The revision is
    not looked at: whoever reads tables of ours calls `talon.migrate.require_head` first.
    """
    layout = Layout(settings.home.absolute())
    with contextlib.ExitStack() as stack:
        is_running = False
        try:
            # a home that is only looked for must not come to be
            stack.enter_context(home_lock(layout.home, create=False))
        except HomeInUse:
            is_running = True
        urls = external(settings)
        if urls is None:
            urls = stack.enter_context(_embedded(layout, is_running=is_running))
        yield Access(urls, layout, is_running)


@contextlib.contextmanager
def _embedded(layout: Layout, *, is_running: bool) -> Iterator[Urls]:
    server = EmbeddedPostgres(layout.postgres, layout.pg_socket_dir)
    if not server.data.is_dir():
        raise CommandError(f"there is no database in TALON_HOME ({layout.home}) yet: talon serve makes one")
    if is_running:
        found = server.urls()
        yield Urls(found.owner, found.app, found.signer)
        return
    try:
        found = server.start()
        yield Urls(found.owner, found.app, found.signer)
    finally:
        server.stop()
