"""An endpoint that names a wrong count of an account: the others are asked, and one word alone moves no nonce far."""

import pytest

from tests.flows.foreign import send_elsewhere
from tests.support.faulty_rpc import Answer, Drop
from tests.support.odd_node import COUNT, OddNode, when_block
from tests.support.world import World, address

NODES = 3
ABSURD = 4_000_000_000


def says(node: OddNode, *, pending: int | None = None, count: int | None = None) -> None:
    """Have a node lie about its pool, or about everything that it counts."""
    if pending is not None:
        node.faults[COUNT] = when_block("pending", Answer(hex(pending)))
    if count is not None:
        node.faults[COUNT] = Answer(hex(count))


def gone(node: OddNode) -> None:
    """Have a node answer nothing."""
    node.mode = Drop(forward=False)


@pytest.mark.parametrize("lie", [{"pending": ABSURD}, {"count": ABSURD}, {"pending": 17}, {"count": 17}])
@pytest.mark.parametrize("others", ["sound", "one lies otherwise", "one is gone"])
async def test_one_endpoint_that_lies_is_outvoted(
    human: World, nodes: list[OddNode], lie: dict[str, int], others: str
) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    says(nodes[0], **lie)
    if others == "one lies otherwise":
        says(nodes[1], pending=ABSURD + 1)
    if others == "one is gone":
        gone(nodes[1])
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert sent.status_code == 201, sent.text
    shown = await agent.mined(sent.json()["id"])
    assert shown["nonce"] == 0
    assert await human.chain.nonce(wallet.address) == 1


@pytest.mark.parametrize("lie", [{"pending": ABSURD}, {"count": ABSURD}, {"pending": 17}, {"count": 17}])
async def test_where_nobody_is_believable_nothing_is_signed(
    human: World, nodes: list[OddNode], lie: dict[str, int]
) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    says(nodes[0], **lie)
    gone(nodes[1])
    gone(nodes[2])
    asked = [("", {}), ("/sign", {}), ("/simulate", {}), ("", {"nonce": 0}), ("", {"nonce": ABSURD})]
    for path, more in asked:
        body = {
            "to": address(),
            "value": "0.1",
            "chain": "anvil",
            "signing_key_path": wallet.path,
            "gas_limit": 21_000,
        }
        answer = await agent.post(path, body | more)
        assert answer.status_code == 503, (path, more, answer.text)
        assert "not believable" in answer.json()["detail"]
        assert f"/v1/wallets/anvil/{wallet.address.lower()}/resync" in answer.json()["detail"]
    listed = await human.http.get(agent.url, headers=agent.headers)
    assert listed.json() == {"transactions": []}


async def test_lies_within_the_slack_lead_a_wallet_no_further_each_time(human: World, nodes: list[OddNode]) -> None:
    """One endpoint answers, and always says that 17 more wait than the last nonce we used."""
    wallet, agent = await human.wallet(wei=0), await human.agent()
    gone(nodes[1])
    gone(nodes[2])
    says(nodes[0], pending=16)
    sent = await agent.submit(wallet, address(), "0", gas_limit=21_000)
    assert (await agent.get(sent.json()["id"]))["nonce"] == 16
    says(nodes[0], pending=33)
    for _ in range(2):
        sent = await agent.submit(wallet, address(), "0", gas_limit=21_000)
        assert sent.status_code == 503, sent.text
        assert "not believable" in sent.json()["detail"]
    # the others say how it is
    nodes[1].be_sound()
    nodes[2].be_sound()
    sent = await agent.submit(wallet, address(), "0", gas_limit=21_000)
    assert (await agent.get(sent.json()["id"]))["nonce"] == 17


async def test_two_that_say_different_absurd_things_are_not_believed(human: World, nodes: list[OddNode]) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    says(nodes[0], pending=ABSURD)
    says(nodes[1], pending=ABSURD + 1)
    gone(nodes[2])
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert sent.status_code == 503, sent.text


async def test_what_all_of_several_endpoints_say_is_believed_until_they_take_it_back(
    human: World, nodes: list[OddNode]
) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    for node in nodes:
        says(node, pending=ABSURD)
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert sent.status_code == 201, sent.text
    assert (await agent.get(sent.json()["id"]))["nonce"] == ABSURD
    # the next one too, while they say so
    following = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert (await agent.get(following.json()["id"]))["nonce"] == ABSURD + 1
    # and nothing more is signed where it could never be mined once they do not
    for node in nodes:
        node.be_sound()
    refused = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert refused.status_code == 503, refused.text
    assert "resynchronise" in refused.json()["detail"]
    # a filler there would not be mined either
    given_up = await agent.give_up(sent.json()["id"])
    assert given_up.status_code == 409, given_up.text
    assert "resynchronise" in given_up.json()["detail"]


async def test_a_key_that_was_used_elsewhere_goes_on_where_it_stands(human: World, nodes: list[OddNode]) -> None:
    """With several endpoints and with one: the transaction that used the last nonce is the proof."""
    for alone in (False, True):
        wallet, agent = await human.wallet(), await human.agent()
        await send_elsewhere(human.chain, wallet, 20)
        if alone:
            gone(nodes[1])
            gone(nodes[2])
        sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
        assert sent.status_code == 201, sent.text
        assert (await agent.mined(sent.json()["id"]))["nonce"] == 20
        # and once more, far above what we gave out
        await send_elsewhere(human.chain, wallet, 20)
        sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
        assert (await agent.mined(sent.json()["id"]))["nonce"] == 41


@pytest.mark.parametrize("lie", [{"pending": 0}, {"count": 0}, {"pending": 1}])
async def test_a_count_that_goes_back_gives_no_nonce_out_twice(
    human: World, nodes: list[OddNode], lie: dict[str, int]
) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    await send_elsewhere(human.chain, wallet, 3)
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    await agent.mined(sent.json()["id"])
    for node in nodes:
        says(node, **lie)
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert (await agent.get(sent.json()["id"]))["nonce"] == 4
    for node in nodes:
        node.be_sound()
    await agent.mined(sent.json()["id"])


async def test_a_pool_that_lags_behind_its_own_blocks(human: World, nodes: list[OddNode]) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    await send_elsewhere(human.chain, wallet, 3)
    for node in nodes:
        says(node, pending=0)
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert (await agent.mined(sent.json()["id"]))["nonce"] == 3


async def test_a_pool_count_of_null_is_not_known_and_not_needed(human: World, nodes: list[OddNode]) -> None:
    """The blocks' count and what we know is ours in flight do; with neither count nothing is signed."""
    wallet, agent = await human.wallet(), await human.agent()
    for node in nodes:
        node.faults[COUNT] = when_block("pending", Answer(None))
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert (await agent.mined(sent.json()["id"]))["nonce"] == 0
    for node in nodes:
        node.faults[COUNT] = Answer(None)
    assert (await agent.submit(wallet, address(), "0.1", gas_limit=21_000)).status_code == 503


@pytest.mark.parametrize("nonsense", [{}, "", "0x", "4", -1, 7, "0x" + "f" * 16, "0x8000000000000000"])
async def test_a_count_that_is_none_is_no_count(human: World, nodes: list[OddNode], nonsense: object) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    for node in nodes:
        node.faults[COUNT] = when_block("pending", Answer(nonsense))
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert sent.status_code == 503, sent.text
    listed = await human.http.get(agent.url, headers=agent.headers)
    assert listed.json() == {"transactions": []}
