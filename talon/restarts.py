"""When a child that ended is started again, and when there is no point. [pure] Times in seconds."""

from dataclasses import dataclass

FIRST_PAUSE_S = 0.05
MAX_PAUSE_S = 30.0
# for a cause that waiting does not mend there is no point in long pauses: five ends come within a minute
MAX_LASTING_PAUSE_S = 2.0
# ends before it was ready, in a row, for a cause that waiting does not mend
HOPELESS = 5
# one that ended so soon after it was ready is not well either
SOON_S = 10.0


@dataclass(frozen=True)
class History:
    """What a child's ends in a row were: how many came early, and how many of those for a lasting cause.

    `refused`: the last one must not be tried again, because trying does harm (a token that counts wrong PINs).
    """

    early: int = 0
    lasting: int = 0
    refused: bool = False

    def after(self, *, ready_for_s: float | None, lasting: bool, refused: bool = False) -> "History":
        """The history with one more end. `ready_for_s`: how long it had been ready, None: it never was."""
        if ready_for_s is not None:
            return History() if ready_for_s >= SOON_S else History(self.early + 1)
        return History(self.early + 1, self.lasting + 1 if lasting else 0, refused)

    @property
    def hopeless(self) -> bool:
        """Whether to give up: everything else is tried again without limit."""
        return self.refused or self.lasting >= HOPELESS

    @property
    def pause_s(self) -> float:
        """How long to wait before the next start: at once after the first, then four times as long each time."""
        most = MAX_LASTING_PAUSE_S if self.lasting else MAX_PAUSE_S
        return float(min(FIRST_PAUSE_S * 4 ** min(self.early, 10), most))
