"""Who has proved to be somebody lately, in this process's memory: it says whom to count and make room for, never
whom to let in. That is asked of the database for every request, whatever stands here. Times in seconds.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from vault.auth.client_address import group_of

MAX_REMEMBERED = 10_000
CREDENTIAL_S = 60.0
ADDRESS_S = 3600.0


class Memory:
    """What was noted within `life_s`; of more than `most` the oldest are forgotten."""

    def __init__(
        self, life_s: float, most: int = MAX_REMEMBERED, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._life_s, self._most, self._clock = life_s, most, clock
        self._noted: OrderedDict[Hashable, tuple[float, str]] = OrderedDict()

    def note(self, key: Hashable, value: str = "") -> None:
        """Remember it anew."""
        self._noted.pop(key, None)
        self._noted[key] = (self._clock() + self._life_s, value)
        if len(self._noted) > self._most:
            self._noted.popitem(last=False)

    def get(self, key: Hashable) -> str | None:
        """What was noted; None when that was never, or too long ago."""
        until, value = self._noted.get(key, (0.0, ""))
        return value if until > self._clock() else None

    def forget(self, key: Hashable) -> None:
        """As if it had never been noted."""
        self._noted.pop(key, None)


class Recent:
    """One per process: credentials with whose they are, and addresses."""

    def __init__(self) -> None:
        self._credentials = Memory(CREDENTIAL_S)
        self._addresses = Memory(ADDRESS_S)

    def proved(self, credential: str, principal: str, address: str | None) -> None:
        """A credential counted just now, presented from this address."""
        self._credentials.note(_digest(credential), principal)
        if address is not None:
            self._addresses.note(group_of(address))

    def refused(self, credential: str) -> None:
        """A credential did not count."""
        self._credentials.forget(_digest(credential))

    def principal(self, credential: str) -> str | None:
        """Whose credential this was lately."""
        return self._credentials.get(_digest(credential))

    def knows(self, address: str | None) -> bool:
        """Whether somebody has proved to be somebody from here lately."""
        return address is not None and self._addresses.get(group_of(address)) is not None


def _digest(credential: str) -> bytes:
    # the memory shall hold no secret
    return hashlib.sha256(credential.encode()).digest()
