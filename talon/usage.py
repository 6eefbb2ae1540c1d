"""What a running instance takes of the machine: all its processes together, from /proc. Seconds and bytes."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS_A_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """One process: `cpu_s` since its birth, `ended_s` that of its children that have ended."""

    pid: int
    cpu_s: float
    ended_s: float


def processes(root: int) -> list[Process]:
    """A process and all that descend from it, as far as they live."""
    found = []
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        try:
            found.append(Process(pid, _cpu_s(pid), _ended_s(pid)))
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += [int(each) for each in (task / "children").read_text().split()]
        except OSError:
            continue  # it ended meanwhile
    return found


def cpu_s(root: int) -> float:
    """CPU time that an instance has taken so far, by the pid of its supervisor; also of processes that are gone."""
    return sum(each.cpu_s + each.ended_s for each in processes(root))


def memory(pid: int) -> int:
    """Memory of a process (PSS: what it shares with others counts in parts); 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def size(directory: Path) -> int:
    """What the files below a directory take on disk."""
    total = 0
    for place, _, names in os.walk(directory):
        for name in names:
            try:
                total += (Path(place) / name).lstat().st_blocks * 512
            except OSError:
                continue
    return total


def _cpu_s(pid: int) -> float:
    # in nanoseconds, thread by thread: stat counts in hundredths of a second
    tasks = [task / "schedstat" for task in Path(f"/proc/{pid}/task").iterdir()]
    try:
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9
    except FileNotFoundError:
        # a kernel that keeps none, or a thread that ended
        user, system = _stat(pid)[11:13]
        return (int(user) + int(system)) / TICKS_A_S


def _ended_s(pid: int) -> float:
    user, system = _stat(pid)[13:15]
    return (int(user) + int(system)) / TICKS_A_S


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
