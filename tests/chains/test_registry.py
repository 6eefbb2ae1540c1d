from dataclasses import replace

import pytest

from chains.defaults import ANVIL, DEFAULT_CHAINS
from chains.registry import resolve

CHAINS = (*DEFAULT_CHAINS, ANVIL)


@pytest.mark.parametrize(
    ("identifier", "chain_id"),
    [
        ("ethereum", 1),
        ("Ethereum", 1),
        ("mainnet", 1),
        ("MAINNET", 1),
        ("1", 1),
        (1, 1),
        ("base", 8453),
        ("8453", 8453),
        (10, 10),
        ("arbitrum", 42161),
        ("arbitrum-one", 42161),
        ("matic", 137),
        ("sepolia", 11155111),
        ("base-sepolia", 84532),
        ("anvil", 31337),
    ],
)
def test_every_spelling_is_one_chain(identifier: str | int, chain_id: int) -> None:
    chain = resolve(identifier, CHAINS)
    assert chain is not None
    assert chain.chain_id == chain_id


@pytest.mark.parametrize(
    "identifier", ["", " ethereum", "01", "+1", "-1", -1, "1.0", "0x1", "１", "eth", "goerli", 2, True, False, "None"]
)
def test_unknown(identifier: str | int) -> None:
    assert resolve(identifier, CHAINS) is None


def test_a_registered_name_wins_over_an_alias() -> None:
    own = replace(ANVIL, name="mainnet", chain_id=4242)
    assert resolve("mainnet", (*CHAINS, own)) == own


def test_an_alias_of_a_chain_that_is_not_there_is_unknown() -> None:
    assert resolve("matic", [chain for chain in CHAINS if chain.name != "polygon"]) is None
