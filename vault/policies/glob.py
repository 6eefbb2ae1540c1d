"""Match a secret's path against a policy's pattern. Pure.

A path and a pattern are segments joined by `/`. `*` as a segment is exactly one segment, `**` is zero or more;
inside a segment `*` stands for any run of characters. Everything else compares literally and case-sensitively.
"""

ANY_SEGMENTS = "**"
ANY_CHARACTERS = "*"
MAX_PATTERN_LENGTH = 512
MAX_STARS = 32


def matches(pattern: str, path: str) -> bool:
    """True when `pattern` covers `path`. Time is bounded by pattern segments times path segments, no backtracking."""
    # reach[i]: the pattern read so far can consume exactly the first i segments of the path
    segments = path.split("/")
    reach = [True] + [False] * len(segments)
    for part in pattern.split("/"):
        if part == ANY_SEGMENTS:
            reach = _spread(reach)
        else:
            steps = [reach[i] and _segment_matches(part, segments[i]) for i in range(len(segments))]
            reach = [False, *steps]
    return reach[-1]


def _spread(reach: list[bool]) -> list[bool]:
    """After `**` every position at or behind a reached one is reached."""
    seen = False
    spread = []
    for reached in reach:
        seen = seen or reached
        spread.append(seen)
    return spread


def _segment_matches(part: str, segment: str) -> bool:
    """One segment against one part that may hold `*`; the leftmost fit of every literal run is enough."""
    if part == ANY_CHARACTERS:
        return segment != ""
    head, *runs = part.split(ANY_CHARACTERS)
    if not runs:
        return part == segment
    *middle, tail = runs
    if len(head) + len(tail) > len(segment) or not segment.startswith(head) or not segment.endswith(tail):
        return False
    position, end = len(head), len(segment) - len(tail)
    for run in middle:
        found = segment.find(run, position, end)
        if found < 0:
            return False
        position = found + len(run)
    return True


def fault_of(pattern: str) -> str | None:
    """Why `pattern` is no usable pattern, in words for its author; None when it is one."""
    if not pattern:
        return "the pattern is empty"
    if len(pattern) > MAX_PATTERN_LENGTH:
        return f"the pattern is longer than {MAX_PATTERN_LENGTH} characters"
    if pattern.count(ANY_CHARACTERS) > MAX_STARS:
        return f"the pattern has more than {MAX_STARS} wildcards"
    for part in pattern.split("/"):
        if not part:
            return "the pattern has an empty segment; a path neither starts nor ends with a slash"
        if ANY_SEGMENTS in part and part != ANY_SEGMENTS:
            return "** must be a whole segment"
        if not all(char in _PATTERN_CHARACTERS for char in part):
            return "a pattern holds letters, digits, _, -, / and the wildcards * and **; nothing else is in a path"
    return None


_PATTERN_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-*")
