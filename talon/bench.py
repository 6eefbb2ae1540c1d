"""`make bench`: submissions as a ratio of what the same chain takes, what size costs as a ratio of none, and rest."""

import asyncio
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from eth_account import Account

from chains.rpc import ChainClient
from talon import bench_idle, bench_scale
from talon.instance import temporary_instance

TRANSACTIONS = 300
CONCURRENCY = (1, 16)
# all of it comes from one address: counted as ever, never refused
UNHURRIED = {"TALON_RATE_LIMIT_AUTH": "100000/second", "TALON_RATE_LIMIT_IP": "100000/second"}
TO = "0x000000000000000000000000000000000000dEaD"


async def timed(jobs: list[Callable[[], Awaitable[Any]]], concurrency: int) -> float:
    """Seconds to run all jobs with so many at a time."""
    gate = asyncio.Semaphore(concurrency)

    async def run(job: Callable[[], Awaitable[Any]]) -> None:
        async with gate:
            await job()

    began = time.perf_counter()
    await asyncio.gather(*(run(job) for job in jobs))
    return time.perf_counter() - began


async def chain_alone(rpc_url: str, concurrency: int) -> float:
    """Pre-signed transfers a second straight to the local chain: the ceiling that no engine can pass."""
    client = ChainClient(31337, [rpc_url])
    account = Account.create()
    await client.call("anvil_setBalance", [account.address, hex(10**24)])
    raws = [
        bytes(
            account.sign_transaction(
                {"to": TO, "value": 1, "gas": 21_000, "gasPrice": 10**10, "nonce": nonce, "chainId": 31337}
            ).raw_transaction
        )
        for nonce in range(TRANSACTIONS)
    ]
    try:
        seconds = await timed([lambda raw=raw: client.send_raw(raw) for raw in raws], concurrency)  # type: ignore[misc]
    finally:
        await client.close()
    return TRANSACTIONS / seconds


class Talon:
    """An agent on a running instance, with one funded wallet."""

    def __init__(self, http: httpx.AsyncClient, agent_id: str, key: str) -> None:
        self.http, self.agent_id, self.headers = http, agent_id, {"Authorization": f"Bearer {key}"}

    async def submit(self) -> None:
        """One transfer, all steps on: policy, simulation, guardrails, HSM, audit, broadcast."""
        answer = await self.http.post(
            f"/v1/agents/{self.agent_id}/transactions",
            json={"to": TO, "value": "0.000001", "chain": "anvil"},
            headers=self.headers,
        )
        if answer.status_code != 201:
            raise RuntimeError(f"submission refused: {answer.status_code} {answer.text}")

    @classmethod
    async def prepare(cls, http: httpx.AsyncClient, rpc_url: str, email: str, password: str) -> "Talon":
        """A human sets up vault, key, agent and policy."""

        async def post(path: str, body: dict[str, Any], token: str | None = None) -> Any:
            answer = await http.post(path, json=body, headers={"Authorization": f"Bearer {token}"} if token else {})
            answer.raise_for_status()
            return answer.json()

        token = (await post("/v1/auth/token", {"email": email, "password": password}))["access_token"]
        vault = await post("/v1/vaults", {"name": f"bench {secrets.token_hex(4)}", "description": ""}, token)
        account = Account.create()
        stored = await http.put(
            f"/v1/vaults/{vault['id']}/secrets/keys/anvil-signer",
            json={"type": "private_key", "value": account.key.hex()},
            headers={"Authorization": f"Bearer {token}"},
        )
        stored.raise_for_status()
        agent = await post(
            "/v1/agents", {"name": f"bench {secrets.token_hex(4)}", "intents_api_enabled": True}, token
        )
        await post(
            f"/v1/vaults/{vault['id']}/policies",
            {
                "secret_path_pattern": "keys/*",
                "principal_type": "agent",
                "principal_id": agent["agent"]["id"],
                "permissions": ["read"],
            },
            token,
        )
        client = ChainClient(31337, [rpc_url])
        await client.call("anvil_setBalance", [account.address, hex(10**24)])
        await client.close()
        return cls(http, agent["agent"]["id"], agent["api_key"])


async def measure(base_url: str, rpc_url: str, email: str, password: str) -> list[dict[str, Any]]:
    """One line per concurrency: submissions and bare broadcasts a second, and their ratio."""
    lines = []
    async with httpx.AsyncClient(base_url=base_url, timeout=60) as http:
        talon = await Talon.prepare(http, rpc_url, email, password)
        await timed([talon.submit] * 20, 4)  # warm connections, pools and handles
        for concurrency in CONCURRENCY:
            bare = await chain_alone(rpc_url, concurrency)
            submitted = TRANSACTIONS / await timed([talon.submit] * TRANSACTIONS, concurrency)
            lines.append(
                {
                    "measure": "submit",
                    "concurrency": concurrency,
                    "wallets": 1,
                    "submissions_per_s": round(submitted, 1),
                    "bare_broadcasts_per_s": round(bare, 1),
                    "ratio": round(submitted / bare, 3),
                }
            )
    return lines


def main() -> None:
    """Start instances of its own, measure, print JSON lines and tables."""
    directory = tempfile.TemporaryDirectory(prefix="talon-bench-")
    with directory as home, temporary_instance(Path(home), UNHURRIED) as instance:
        submissions = asyncio.run(
            measure(instance.base_url, instance.rpc_url, instance.admin_email, instance.admin_password)
        )
    for line in submissions:
        print(json.dumps(line), flush=True)
    sizes = bench_scale.measure(lambda text: print(text, file=sys.stderr, flush=True))
    for line in sizes:
        print(json.dumps(line))
    idle = bench_idle.measure()
    print(json.dumps(idle))
    print(
        "\nsubmit/s: all steps through Talon, one wallet. bare/s: pre-signed transactions straight to the same chain."
    )
    print(f"\n{'concurrency':>12} {'submit/s':>10} {'bare/s':>10} {'ratio':>7}")
    for line in submissions:
        print(
            f"{line['concurrency']:>12} {line['submissions_per_s']:>10} {line['bare_broadcasts_per_s']:>10}"
            f" {line['ratio']:>7}"
        )
    print("\nlarge over almost empty, medians of interleaved pairs:")
    print(f"\n{'request':>18} {'cpu':>7} {'buffers':>9} {'wall':>7}")
    for line in sizes:
        print(f"{line['request']:>18} {line['cpu_ratio']:>7} {line['buffers_ratio']:>9} {line['wall_ratio']:>7}")
    print("\nidle, without the local chain, all processes together:")
    print(f"\n{'process':>18} {'% of one core':>14}")
    for kind, share in (*idle["by_kind"].items(), ("all", idle["percent_of_one_core"])):
        print(f"{kind:>18} {share:>14}")


if __name__ == "__main__":
    main()
