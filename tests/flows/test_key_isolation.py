"""No process but the signer comes near the PKCS#11 module or a key."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import traces
from tests.support.instance import Running, start_instance
from tests.support.socket_tap import SocketTap
from tests.support.world import SOAK, World, address, until

SIGNATURES = 1_000 if SOAK else 200


def test_the_scan_finds_a_planted_key(tmp_path: Path) -> None:
    key = secrets.token_bytes(32)
    needles = traces.patterns(key)
    assert traces.scan_bytes(secrets.token_bytes(1 << 20), needles) == []
    for start in range(len(key) - traces.RUN + 1):
        run = key[start : start + traces.RUN]
        assert traces.scan_bytes(b"...." + run + b"....", needles)
        assert traces.scan_bytes(b"...." + run.hex().encode() + b"....", needles)
        assert traces.scan_bytes(b"...." + run.hex().upper().encode() + b"....", needles)
    import base64

    for shift in range(3):
        assert traces.scan_bytes(base64.b64encode(b"x" * shift + key + b"y"), needles)
        assert traces.scan_bytes(base64.urlsafe_b64encode(b"x" * shift + key + b"y"), needles)
    planted = tmp_path / "deep" / "file"
    planted.parent.mkdir()
    planted.write_bytes(secrets.token_bytes(100_000) + key[5:13] + secrets.token_bytes(100_000))
    assert list(traces.scan_tree(tmp_path, needles)) == [str(planted)]


def test_the_scan_finds_a_key_in_the_memory_of_a_process() -> None:
    key = secrets.token_bytes(32)
    program = "import sys; held = bytes.fromhex(sys.stdin.readline()); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(key.hex() + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        assert key[:8] in traces.scan_memory(process.pid, traces.patterns(key))
        process.stdin.close()


def test_no_process_but_the_signer_maps_the_module(instance: Running) -> None:
    module = Path(instance.pkcs11_module).name
    mapped = {
        name: [pid for pid in instance.pids(name) if module in Path(f"/proc/{pid}/maps").read_text()]
        for name in instance.process_names()
    }
    assert mapped["signer"] == instance.pids("signer") != []
    assert {name for name, pids in mapped.items() if pids} == {"signer"}
    assert module not in Path("/proc/self/maps").read_text()


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_an_imported_key_leaves_no_trace(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("traces")
    running = await start_instance(home)
    try:
        key = secrets.token_bytes(32)
        world = await World.of(running)
        wallet = await world.put_key(key)
        await world.chain.fund(wallet.address)
        agent = await world.agent()
        async with SocketTap(running.signer_socket) as tap:
            await restart(running, "api")
            to = address()
            for start in range(0, SIGNATURES, 50):
                answers = await asyncio.gather(
                    *(agent.submit(wallet, to, "0.001", gas_limit=21_000) for _ in range(min(50, SIGNATURES - start)))
                )
                assert {answer.status_code for answer in answers} == {201}, answers[0].text
            needles = traces.patterns(key)
            for name in ("api", "worker", "supervisor"):
                for pid in running.pids(name):
                    assert traces.scan_memory(pid, needles) == [], f"in the memory of {name}"
            assert tap.bytes_seen > SIGNATURES * 100
            assert traces.scan_bytes(tap.recorded(), needles) == []
        await world.chain.wait_nonce(wallet.address, SIGNATURES, 120)
        await world.close()
    finally:
        await running.stop()
    # the database is stopped: what is on disk now is all there is
    assert traces.scan_tree(home, needles) == {}
    assert list(home.rglob("PG_VERSION")), "the scan did not cover the database"


async def restart(running: Running, name: str) -> None:
    """SIGKILL every process of a kind and wait until the supervisor has replaced them and they answer."""
    before = set(running.pids(name))
    for pid in before:
        os.kill(pid, signal.SIGKILL)

    async def replaced() -> bool:
        now = set(running.pids(name))
        return len(now) == len(before) and not now & before and await running.healthy()

    await until(replaced, 60, f"{name} restarted")
