import asyncio
import base64
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from signer.client import SignedTransaction, SignerClient
from signer.errors import ApprovalRefused, SignerError, SignerUnavailable
from signer.protocol import encode_frame, message_of, read_frame
from talon.bootstrap import ROOT
from tests.support.approvals import approval_of, some_transaction
from tests.support.hsm import Hsm
from tests.support.tokens import some_order

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


async def raw(hsm: Hsm, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(hsm.socket_path)
    writer.write(data)
    await writer.drain()
    return reader, writer


async def ask(hsm: Hsm, message: dict[str, Any]) -> dict[str, Any]:
    reader, writer = await raw(hsm, encode_frame(message))
    async with asyncio.timeout(5):
        body = await read_frame(reader)
    writer.close()
    assert body is not None
    return message_of(body)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x02[]",
        b"\x00\x00\x00\x03{}}",
    ],
)
async def test_a_malformed_frame_closes_that_connection_and_no_other(
    signer: SignerClient, shared_hsm: Hsm, data: bytes
) -> None:
    await signer.health()
    before = signer._connection
    reader, writer = await raw(shared_hsm, data)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    assert (await signer.health()).ok
    assert signer._connection is before


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "sign", "args": {}},
        {"op": "sign_digest", "args": {"digest": ""}},
        {"op": "__class__", "args": {}},
        {"op": None, "args": {}},
        {"op": ["health"], "args": {}},
        {"op": "health"},
        {"op": "health", "args": []},
        {"op": "sign_transaction", "args": {}},
        {"op": "sign_transaction", "args": {"transaction": {}}},
        {"op": "sign_transaction", "args": {"transaction": {"type": ["legacy"]}}},
        {"op": "import_key", "args": {"key_id": str(uuid4())}},
        {"op": "import_key", "args": {"key_id": str(uuid4()), "private_key": "%%"}},
        {"op": "seal", "args": {"vault_id": 7, "context": "", "plaintext": ""}},
        {"op": "issue_token", "args": {"kind": ["user"]}},
    ],
)
async def test_a_malformed_request_is_told_so(
    signer: SignerClient, shared_hsm: Hsm, request_: dict[str, object]
) -> None:
    answer = await ask(shared_hsm, {"v": 1, "id": 5, **request_})
    assert answer["id"] == 5
    assert answer["error"] == "protocol"


def become(uid: int) -> str:
    return f"os.setgroups([]); os.setresgid({uid}, {uid}, {uid}); os.setresuid({uid}, {uid}, {uid})\n"


@needs_root
def test_another_uid_is_refused(signer: SignerClient, shared_hsm: Hsm) -> None:
    program = (
        "s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(sys.argv[1])\n"
        "try:\n    s.sendall(bytes.fromhex(sys.argv[2])); answer = s.recv(1)\n"
        "except (BrokenPipeError, ConnectionResetError):\n    answer = b''\n"
        "sys.exit(0 if answer else 7)"
    )
    frame = encode_frame({"v": 1, "id": 1, "op": "health", "args": {}}).hex()
    directory, path = Path(shared_hsm.socket_path).parent, Path(shared_hsm.socket_path)
    directory.chmod(0o711)
    path.chmod(0o666)
    try:
        for uid, status in ((0, 0), (65534, 7)):
            done = subprocess.run(
                [sys.executable, "-c", "import os, socket, sys\n" + become(uid) + program, str(path), frame],
                timeout=15,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == status, (uid, done.stderr)
    finally:
        directory.chmod(0o700)


async def test_signatures_go_ahead_of_everything_else(signer: SignerClient) -> None:
    key = await signer.generate_key(uuid4())
    finished: list[str] = []

    async def note(name: str, work: Any) -> None:
        await work
        finished.append(name)

    bulk = [note("generate", signer.generate_key(uuid4())) for _ in range(60)]
    transaction = some_transaction()
    urgent = [
        note("sign", signer.sign_transaction(approval_of(key.key_id, transaction), transaction)) for _ in range(20)
    ]
    await asyncio.gather(*bulk, *urgent, note("jwt", signer.issue_token(some_order())))
    # They were sent last, and nearly all of the others were still waiting when they were answered: on a busy machine
    # the signer has begun with some before the last is sent
    last_sign = len(finished) - 1 - finished[::-1].index("sign")
    assert finished[: finished.index("jwt")].count("generate") < 15
    assert finished[:last_sign].count("generate") < 15


async def test_two_signers_start_at_once_on_a_fresh_token(hsm: Hsm) -> None:
    """Several times over, as the roots and the first JWT key must be made exactly once."""
    processes = await asyncio.gather(*(hsm.start() for _ in range(3)))
    clients = [hsm.client() for _ in range(12)]
    keys = await asyncio.gather(*(client.generate_key(uuid4()) for client in clients))
    transaction = some_transaction()
    for key in keys:
        signed = await asyncio.gather(
            *(client.sign_transaction(approval_of(key.key_id, transaction), transaction) for client in clients)
        )
        assert {each.sender for each in signed} == {key.address}
    kids = {tuple(each.kid for each in await client.jwt_keys()) for client in clients}
    assert len(kids) == 1
    assert len(kids.pop()) == 1
    assert [process.poll() for process in processes] == [None] * 3
    for client in clients:
        await client.close()


@pytest.mark.soak
@pytest.mark.timeout(1200)
async def test_sigkill_during_signatures_leaves_nothing_half_usable(hsm: Hsm) -> None:
    """An approval gives at most one signature, whatever is killed when; everything else works on."""
    rounds = 50 if os.environ.get("TALON_SOAK") == "1" else 6
    process = await hsm.start()
    client = hsm.client()
    key = await client.generate_key(uuid4())
    for _ in range(rounds):
        transactions = [some_transaction(nonce=number) for number in range(200)]
        approvals = [approval_of(key.key_id, transaction) for transaction in transactions]
        asked = [
            asyncio.ensure_future(client.sign_transaction(approval, transaction))
            for approval, transaction in zip(approvals, transactions, strict=True)
        ]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(secrets.randbelow(50) / 1000)
        hsm.kill(process)
        first = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(each) for each in first} <= {SignedTransaction, SignerUnavailable}
        process = await hsm.start()
        second = await asyncio.gather(
            *(client.sign_transaction(a, t) for a, t in zip(approvals, transactions, strict=True)),
            return_exceptions=True,
        )
        for before, after in zip(first, second, strict=True):
            if isinstance(before, SignedTransaction):
                assert isinstance(after, ApprovalRefused)
            else:  # used up or not: nobody got a signature before, and now it is one or none
                assert isinstance(after, SignedTransaction | ApprovalRefused)
    await client.close()


async def test_sigkill_while_keys_are_made_loses_none_that_was_told(hsm: Hsm) -> None:
    told = []
    process = await hsm.start()
    client = hsm.client()
    for _ in range(4):
        asked = [asyncio.ensure_future(client.generate_key(uuid4())) for _ in range(30)]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(secrets.randbelow(60) / 1000)
        hsm.kill(process)
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert not [each for each in outcomes if isinstance(each, Exception) and not isinstance(each, SignerError)]
        told += [each for each in outcomes if not isinstance(each, BaseException)]
        process = await hsm.start()
    assert told
    transaction = some_transaction()
    for key in told:
        signed = await client.sign_transaction(approval_of(key.key_id, transaction), transaction)
        assert signed.sender == key.address
    await client.close()


async def test_sigkill_while_the_roots_are_made_is_survived(hsm: Hsm) -> None:
    for delay_ms in (250, 350, 450, 550, 650, 800):
        process = hsm.spawn()
        await asyncio.sleep(delay_ms / 1000)
        hsm.kill(process)
    await hsm.start()
    client = hsm.client()
    assert (await client.health()).ok
    assert await client.issue_token(some_order())
    assert (await client.generate_key(uuid4())).address
    await client.close()


async def test_sigterm_finishes_what_is_in_hand_and_exits_with_0(hsm: Hsm) -> None:
    process = await hsm.start()
    client = hsm.client()
    key, transaction = await client.generate_key(uuid4()), some_transaction()
    asked = [
        asyncio.ensure_future(client.sign_transaction(approval_of(key.key_id, transaction), transaction))
        for _ in range(100)
    ]
    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    process.send_signal(signal.SIGTERM)
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(each) for each in outcomes} <= {SignedTransaction, SignerUnavailable}
    assert await asyncio.to_thread(process.wait, 10) == 0
    assert "Traceback" not in hsm.log_file.read_text()
    late = hsm.client(timeout_s=0.5)
    with pytest.raises(SignerUnavailable):
        await late.health()
    await late.close()
    await client.close()


async def test_requests_sent_while_no_signer_runs_are_answered_by_the_next(hsm: Hsm) -> None:
    client = hsm.client(timeout_s=30)
    asked = asyncio.ensure_future(client.health())
    await hsm.start()
    assert (await asked).ok
    await client.close()


async def test_a_signer_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(SignerUnavailable):
        await SignerClient(str(tmp_path / "no.sock")).health()
    assert time.monotonic() - started < 1


async def test_a_signer_that_hangs_is_unavailable_in_time(hsm: Hsm) -> None:
    process = await hsm.start()
    client = hsm.client(timeout_s=0.3)
    process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(SignerUnavailable, match="in time"):
            await client.health()
    finally:
        process.send_signal(signal.SIGCONT)
    # and the answer that came too late is nobody's
    patient = hsm.client()
    assert (await patient.health()).ok
    await patient.close()
    await client.close()


def test_the_process_leaves_no_core(signer: SignerClient, shared_hsm: Hsm) -> None:
    limits = Path(f"/proc/{shared_hsm.processes[0].pid}/limits").read_text()
    assert limits.split("Max core file size")[1].split()[:2] == ["0", "0"]


@needs_root
@pytest.mark.parametrize(("hardened", "status"), [(False, 0), (True, 7)])
def test_no_other_process_of_its_uid_reads_its_memory(hardened: bool, status: int) -> None:
    victim = (
        "import os, sys, signer.__main__ as main\n"
        + become(64123)
        # a change of uid does the same as harden() would: undo that, so that only harden() counts
        + f"main.ctypes.CDLL(None).prctl(main.PR_SET_DUMPABLE, 1, 0, 0, 0)\nif {hardened}: main.harden()\n"
        + "print('up', flush=True); sys.stdin.read()"
    )
    thief = (
        "import os, sys\n"
        + become(64123)
        + "try:\n    open(f'/proc/{sys.argv[1]}/mem', 'rb')\nexcept PermissionError:\n    sys.exit(7)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", victim], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        done = subprocess.run([sys.executable, "-c", thief, str(process.pid)], timeout=15, check=False)
        process.stdin.close()
    assert done.returncode == status


async def test_secrets_are_in_no_log(hsm: Hsm) -> None:
    await hsm.start()
    client = hsm.client()
    key, secret = secrets.token_bytes(32), secrets.token_bytes(32)
    vault_id = uuid4()
    await client.import_key(uuid4(), key)
    await client.create_vault_key(vault_id)
    sealed = await client.seal(vault_id, b"", secret)
    with pytest.raises(SignerError) as broken:
        await client.open(vault_id, b"other", sealed)
    with pytest.raises(SignerError) as refused:
        await client.import_key(uuid4(), key + secret)
    reader, writer = await raw(hsm, len(key.hex()).to_bytes(4, "big") + key.hex().encode())
    assert await reader.read() == b""
    writer.close()
    said = hsm.log_file.read_text() + repr(broken.value) + repr(refused.value) + repr(hsm.parsed_config())
    pin = hsm.token.pin_file.read_text().strip()
    for held in (key, secret):
        for form in (held.hex(), base64.b64encode(held).decode(), repr(held)[2:-1]):
            assert form not in said
    assert pin not in said
    assert "closing a connection" in said
    await client.close()
