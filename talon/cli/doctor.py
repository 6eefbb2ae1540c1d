"""`talon doctor`: look at every part, and say how to mend what is wrong."""

import json
import queue
import threading
from collections.abc import Callable
from typing import Annotated

import typer

from talon.cli.say import say
from talon.database import Urls, external
from talon.doctor import machine, outside
from talon.doctor.finding import Finding, fault, ok, warning
from talon.layout import Layout
from talon.postgres import EmbeddedPostgres, PostgresError
from talon.settings import Settings, SettingsError

# longer than the timeouts within a check together
CHECK_TIMEOUT_S = 30.0
Check = Callable[[], list[Finding]]


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of lines.")] = False,
) -> None:
    """Look at every part of this instance, running or stopped, and change nothing; status 1 when one is at fault."""
    found = examine()
    healthy = all(each.state != "fault" for each in found)
    if as_json:
        say(json.dumps({"ok": healthy, "findings": [each.entry() for each in found]}))
    else:
        for each in found:
            say(each.line())
    raise typer.Exit(0 if healthy else 1)


def examine() -> list[Finding]:
    """Everything that was found; every check ends in bounded time."""
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        return [fault("settings", str(error), "see docs/starting.md")]
    found = [warning("settings", f"{name} is no variable of Talon's", "unset it") for name in Settings.unread()] or [
        ok("settings", "all understood")
    ]
    layout = Layout(settings.home.absolute())
    running = machine.is_running(layout)
    checks: dict[str, Check] = {
        "set-up": lambda: machine.set_up(settings),
        "home": lambda: machine.home(settings),
        "uids": machine.identities,
        "token": lambda: machine.token(settings),
        "database": lambda: _database(settings, layout, running=running),
        "chains": lambda: outside.chains(settings, running=running),
        "mail": lambda: outside.mail(settings),
        "redis": lambda: outside.counters(settings),
        "instance": lambda: outside.instance(settings) if running else [ok("instance", "stopped")],
        "ports": lambda: [] if running else machine.ports(settings),
    }
    answers = {part: _begin(part, check) for part, check in checks.items()}
    for part, answer in answers.items():
        try:
            found += answer.get(timeout=CHECK_TIMEOUT_S)
        except queue.Empty:
            found.append(fault(part, f"the check did not end within {CHECK_TIMEOUT_S:.0f} s", "try it again"))
    return found


def _database(settings: Settings, layout: Layout, *, running: bool) -> list[Finding]:
    urls = external(settings)
    if urls is not None:
        return outside.database(urls, "TALON_DATABASE_URL")
    server = EmbeddedPostgres(layout.postgres, layout.pg_socket_dir)
    if not running:
        # looking into it would mean to start it, which changes it
        is_there = (server.data / "PG_VERSION").exists()
        return [ok("database", "stopped with the instance" if is_there else "none yet: talon serve makes it")]
    try:
        found = server.urls()
    except PostgresError as error:
        return [fault("database", str(error), "run this as the user that runs Talon")]
    return outside.database(Urls(found.owner, found.app, found.signer), "this instance")


def _begin(part: str, check: Check) -> "queue.SimpleQueue[list[Finding]]":
    answer: queue.SimpleQueue[list[Finding]] = queue.SimpleQueue()

    def work() -> None:
        try:
            answer.put(check())
        except OSError as error:
            answer.put([fault(part, f"it cannot be looked at: {error.strerror}", "run this as Talon's user")])
        except Exception as error:  # noqa: BLE001 - said, below
            # one check that breaks must not hide what the others found
            answer.put([fault(part, f"the check itself broke ({type(error).__name__})", "please report this")])

    threading.Thread(target=work, daemon=True).start()
    return answer
