"""What was decided. [pure]"""

from dataclasses import dataclass

from guardrails.facts import Facts


@dataclass(frozen=True, slots=True)
class Allowed:
    """No rule objects. From `decide` it carries the facts it was decided on; a single rule's carries none."""

    facts: Facts | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """A rule objects: its name, its limit and the actual value as text, and one sentence with all three."""

    rule: str
    limit: str
    actual: str
    detail: str


Outcome = Allowed | Denied
