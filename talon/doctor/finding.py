"""What a check found [pure]: one line for people, one object for programs."""

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """How one part is, in words without a secret; `mend` says what to do about it."""

    part: str
    state: State
    said: str
    mend: str | None = None

    def line(self) -> str:
        """For people."""
        return f"{self.state:<7}  {self.part}: {self.said}" + (f" → {self.mend}" if self.mend else "")

    def entry(self) -> dict[str, str]:
        """For programs."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def ok(part: str, said: str) -> Finding:
    """Nothing to do."""
    return Finding(part, "ok", said)


def warning(part: str, said: str, mend: str) -> Finding:
    """It works, but not as well or as safely as it could."""
    return Finding(part, "warning", said, mend)


def fault(part: str, said: str, mend: str) -> Finding:
    """It does not work, or will not at the next start."""
    return Finding(part, "fault", said, mend)
