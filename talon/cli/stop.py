"""`talon stop`: stop the instance of this TALON_HOME, as Ctrl-C would, and wait until it has ended."""

import contextlib
import select
import signal
import time

from talon.cli import supervisor_of
from talon.cli.outcome import CommandError, one_sentence
from talon.cli.say import say
from talon.home import HomeInUse, home_lock
from talon.layout import Layout
from talon.settings import Settings

# longer than the supervisor's own bounds together
TIMEOUT_S = 90.0


def stop() -> None:
    """Stop the instance of this TALON_HOME and wait for its end; status 0 also when none runs."""
    with one_sentence():
        layout = Layout(Settings.from_environment().home.absolute())
        try:
            with home_lock(layout.home, create=False):
                say(f"no Talon runs on {layout.home}")
                return
        except HomeInUse:
            pass
        _stop(layout)


def _stop(layout: Layout) -> None:
    with supervisor_of.process(layout) as (pid, descriptor):
        began = time.monotonic()
        # it may have ended by itself just now
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        ended, _, _ = select.select([descriptor], [], [], TIMEOUT_S)
        if not ended:
            raise CommandError(f"process {pid} was told to stop, but runs still after {TIMEOUT_S:.0f} s")
        say(f"stopped (process {pid}, {time.monotonic() - began:.1f} s)")
