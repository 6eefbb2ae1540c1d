"""Counts of several processes in one directory: any answers for all, also for those that died."""

import signal
import subprocess
import sys
from pathlib import Path

CHILD = """
import os, signal, sys
from pathlib import Path
from prometheus_client import generate_latest
from vault.metrics import counts

counts.share(Path(sys.argv[1]), sys.argv[2])
for _ in range(int(sys.argv[3])):
    counts.denied("policy", "scopes")
    counts.request("GET", "/v1/vaults", 200, 0.01)
if sys.argv[4:] == ["die"]:
    os.kill(os.getpid(), signal.SIGKILL)
print(generate_latest(counts.registry()).decode())
"""


def run(directory: Path, name: str, times: int, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CHILD, str(directory), name, str(times), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_counts_outlive_their_process_and_files_do_not_grow_in_number(tmp_path: Path) -> None:
    for _ in range(3):
        assert run(tmp_path, "api-1", 2, "die").returncode == -signal.SIGKILL
    said = run(tmp_path, "api-2", 1).stdout
    assert 'talon_denials_total{by="policy",rule="scopes"} 7.0' in said
    assert 'talon_http_request_seconds_count{method="GET",route="/v1/vaults"} 7.0' in said
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "counter_api-1.db",
        "counter_api-2.db",
        "histogram_api-1.db",
        "histogram_api-2.db",
    ]
