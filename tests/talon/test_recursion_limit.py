import subprocess
import sys

import pytest

from talon.bootstrap import ROOT


@pytest.mark.parametrize("module", ["talon.app", "talon.worker", "signer.__main__", "vault.audit.verifier"])
def test_no_library_lifts_the_limit_where_outsiders_bytes_are_read(module: str) -> None:
    # py_ecc, which eth_account brings, sets it to 100,000 when imported: deep JSON then ends the process
    code = f"import sys; limit = sys.getrecursionlimit(); import {module}; assert sys.getrecursionlimit() == limit"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
