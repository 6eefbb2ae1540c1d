"""The main job, played over HTTP by a human and an agent against a running instance; prints a line per scene."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from eth_abi.abi import encode
from eth_utils.abi import function_signature_to_4byte_selector
from eth_utils.address import to_checksum_address

from anvil.contracts import artifact

FRIEND = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
STRANGER = "0x000000000000000000000000000000000000dEaD"
WAIT_S = 60.0


class StoryError(Exception):
    """Something went otherwise than told."""


@dataclass
class Story:
    """Who speaks to whom; `say` gets one readable line per scene."""

    base_url: str
    rpc_url: str
    email: str
    password: str = field(repr=False)
    say: Callable[[str], None]

    def play(self) -> None:
        """All scenes in order; raises `StoryError` at the first one that goes otherwise."""
        with httpx.Client(base_url=self.base_url, timeout=30) as http, httpx.Client(timeout=30) as rpc:
            self.http, self.rpc_client = http, rpc
            self.set_up()
            self.transfers()
            self.token_transfer()
            self.replay()
            self.denials()
            self.revert()
            self.key_refused()

    def set_up(self) -> None:
        """The human: a vault, a key in the HSM, an agent with guardrails, a policy."""
        login = self.expect(
            200, self.http.post("/v1/auth/token", json={"email": self.email, "password": self.password})
        )
        self.human = {"Authorization": f"Bearer {login['access_token']}"}
        vault = self.expect(
            201, self.post("/v1/vaults", self.human, {"name": f"demo {uuid4().hex[:8]}", "description": ""})
        )
        self.vault_id = vault["id"]
        stored = self.expect(
            201,
            self.http.put(
                f"/v1/vaults/{self.vault_id}/secrets/keys/anvil-signer",
                headers=self.human,
                json={"type": "private_key", "value": f"0x{secrets.token_hex(32)}"},
            ),
        )
        self.wallet = stored["metadata"]["address"]
        self.rpc("anvil_setBalance", self.wallet, hex(100 * 10**18))
        self.token = self.deploy("Token")
        self.reverter = self.deploy("Reverter")
        created = self.expect(
            201,
            self.post(
                "/v1/agents",
                self.human,
                {
                    "name": f"demo agent {uuid4().hex[:8]}",
                    "intents_api_enabled": True,
                    "tx_allowed_chains": ["anvil"],
                    "tx_to_allowlist": [FRIEND, self.token, self.reverter],
                    "tx_max_value_eth": "1",
                    "tx_daily_limit_eth": "2.4",
                },
            ),
        )
        self.agent_id = created["agent"]["id"]
        self.expect(
            201,
            self.post(
                f"/v1/vaults/{self.vault_id}/policies",
                self.human,
                {
                    "secret_path_pattern": "keys/*",
                    "principal_type": "agent",
                    "principal_id": self.agent_id,
                    "permissions": ["read"],
                },
            ),
        )
        exchanged = self.expect(200, self.http.post("/v1/auth/agent-token", json={"api_key": created["api_key"]}))
        self.agent = {"Authorization": f"Bearer {exchanged['access_token']}"}
        self.say(f"A human put a key into the HSM (wallet {self.wallet}) and gave an agent these limits:")
        self.say("    chain anvil, three destinations, at most 1 ETH a transaction and 2.4 ETH in 24 hours.")

    def transfers(self) -> None:
        """A legacy and a 1559 transfer, each followed to its block."""
        legacy = self.submit({"to": FRIEND, "value": "0.5", "gas_price": str(10 * 10**9)})
        self.say(f"Legacy transfer of 0.5 ETH mined:  {self.mined(legacy)}")
        self.key = str(uuid4())
        self.body = {"to": FRIEND, "value": "1"}
        self.first = self.submit(self.body, self.key)
        self.say(f"EIP-1559 transfer of 1 ETH mined:  {self.mined(self.first)}")

    def token_transfer(self) -> None:
        """An ERC-20 transfer by a contract call."""
        amount = 25 * 10**18
        self.send(self.token, call("mint(address,uint256)", ["address", "uint256"], [self.wallet, amount]))
        data = call("transfer(address,uint256)", ["address", "uint256"], [FRIEND, amount])
        sent = self.submit({"to": self.token, "value": "0", "data": data})
        self.say(f"ERC-20 transfer of 25 tokens mined: {self.mined(sent)}")
        balance = self.rpc(
            "eth_call", {"to": self.token, "data": call("balanceOf(address)", ["address"], [FRIEND])}, "latest"
        )
        if int(balance, 16) != amount:
            raise StoryError(f"the token says the friend has {int(balance, 16)}")

    def replay(self) -> None:
        """The same request with the same Idempotency-Key: the same transaction, nothing new."""
        nonce = self.rpc("eth_getTransactionCount", self.wallet, "pending")
        again = self.expect(200, self.intent(self.body, self.key))
        if (
            again["tx_hash"] != self.first["tx_hash"]
            or self.rpc("eth_getTransactionCount", self.wallet, "pending") != nonce
        ):
            raise StoryError("the replay made a new transaction")
        self.say(f"Replay with the same Idempotency-Key: same hash {again['tx_hash'][:18]}…, nothing sent")

    def denials(self) -> None:
        """One per guardrail."""
        for name, body in (
            ("chain", {"to": FRIEND, "value": "0.1", "chain": "sepolia"}),
            ("destination", {"to": STRANGER, "value": "0.1"}),
            ("per transaction", {"to": FRIEND, "value": "1.000000000000000001"}),
            ("rolling 24 h", {"to": FRIEND, "value": "1"}),
            ("gas ceiling", {"to": FRIEND, "value": "0", "gas_limit": 21_000, "gas_price": str(10**16)}),
        ):
            denied = self.expect(403, self.intent({"signing_key_path": "keys/anvil-signer"} | body))
            self.say(f"Denied ({name}): {denied['detail']}")

    def revert(self) -> None:
        """A call that would revert is stopped before anything is signed."""
        data = call("failWithReason()", [], [])
        stopped = self.expect(422, self.intent({"to": self.reverter, "value": "0", "data": data}))
        self.say(f"Stopped by simulation: {stopped['detail']}")

    def key_refused(self) -> None:
        """The agent can use the key, never read it; and it cannot widen its own limits."""
        path = f"/v1/vaults/{self.vault_id}/secrets/keys/anvil-signer"
        refused = self.expect(403, self.http.get(path, headers=self.agent))
        self.say(f"The agent asks for the key itself: 403, {refused['detail']}")
        self.expect(
            403,
            self.http.patch(f"/v1/agents/{self.agent_id}", headers=self.agent, json={"tx_max_value_eth": "100"}),
        )
        self.say("The agent tries to raise its own limit: 403")

    def submit(self, body: dict[str, Any], key: str | None = None) -> dict[str, Any]:
        """A submission that must be accepted."""
        accepted: dict[str, Any] = self.expect(201, self.intent(body, key))
        return accepted

    def intent(self, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        """A submission by the agent, on the local chain unless the body says otherwise."""
        headers = self.agent | ({"Idempotency-Key": key} if key else {})
        return self.http.post(
            f"/v1/agents/{self.agent_id}/transactions", headers=headers, json={"chain": "anvil"} | body
        )

    def mined(self, transaction: dict[str, Any]) -> str:
        """Wait until Talon and the chain both show the transaction in a block; hash and block in words."""
        self.rpc("evm_mine")  # the local chain makes a block every second; this one need not wait for it
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            shown = self.expect(
                200,
                self.http.get(
                    f"/v1/agents/{self.agent_id}/transactions/{transaction['id']}?include=receipt", headers=self.agent
                ),
            )
            if "receipt" in shown:
                return self.checked(transaction["tx_hash"], shown["receipt"])
            time.sleep(0.1)
        raise StoryError(f"{transaction['tx_hash']} was not mined within {WAIT_S:.0f} s")

    def checked(self, tx_hash: str, receipt: dict[str, Any]) -> str:
        """The chain's own word against Talon's."""
        on_chain = self.rpc("eth_getTransactionReceipt", tx_hash)
        if int(on_chain["blockNumber"], 16) != receipt["block_number"] or int(on_chain["status"], 16) != 1:
            raise StoryError(f"the chain tells another story about {tx_hash}")
        return f"{tx_hash} in block {receipt['block_number']}"

    def deploy(self, name: str) -> str:
        """Deploy a test contract from one of the local chain's own accounts."""
        receipt = self.send(None, artifact(name)["bytecode"])
        return to_checksum_address(receipt["contractAddress"])

    def send(self, to: str | None, data: str) -> Any:
        """A transaction by the local chain's first account, waited for."""
        sender = self.rpc("eth_accounts")[0]
        tx_hash = self.rpc("eth_sendTransaction", {"from": sender, "data": data} | ({"to": to} if to else {}))
        self.rpc("evm_mine")
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            if receipt := self.rpc("eth_getTransactionReceipt", tx_hash):
                return receipt
            time.sleep(0.1)
        raise StoryError("the local chain does not mine")

    def rpc(self, method: str, *parameters: Any) -> Any:
        """Ask the local chain directly."""
        answer = self.rpc_client.post(
            self.rpc_url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        ).json()
        if "error" in answer:
            raise StoryError(f"{method}: {answer['error'].get('message')}")
        return answer["result"]

    def post(self, path: str, who: dict[str, str], body: dict[str, Any]) -> httpx.Response:
        """POST JSON as somebody."""
        return self.http.post(path, headers=who, json=body)

    @staticmethod
    def expect(status: int, answer: httpx.Response) -> Any:
        """The answer's body, if its status is the one the story needs."""
        if answer.status_code != status:
            detail = answer.json().get("detail") if answer.content else ""
            raise StoryError(
                f"{answer.request.method} {answer.request.url.path}: {answer.status_code}, not {status} ({detail})"
            )
        return answer.json()


def call(signature: str, types: list[str], values: list[Any]) -> str:
    """Calldata for a function call (Solidity ABI)."""
    return f"0x{(function_signature_to_4byte_selector(signature) + encode(types, values)).hex()}"
