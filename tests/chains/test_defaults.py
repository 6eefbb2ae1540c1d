from chains.defaults import ALIASES, ANVIL, DEFAULT_CHAINS
from chains.units import ETHER


def test_the_seven_chains_of_the_contract() -> None:
    assert {(chain.name, chain.chain_id, chain.is_testnet) for chain in DEFAULT_CHAINS} == {
        ("ethereum", 1, False),
        ("base", 8453, False),
        ("optimism", 10, False),
        ("arbitrum-one", 42161, False),
        ("polygon", 137, False),
        ("sepolia", 11155111, True),
        ("base-sepolia", 84532, True),
    }


def test_every_chain_has_a_gas_ceiling_and_a_number_of_confirmations() -> None:
    for chain in (*DEFAULT_CHAINS, ANVIL):
        # at least a transfer at a thousand gwei of a cheap chain's coin, at most what one would not like to lose
        assert ETHER // 1000 <= chain.max_gas_cost_wei <= 10 * ETHER
        assert chain.confirmations > 0
        assert chain.is_enabled


def test_nobody_is_asked_unless_the_operator_named_him() -> None:
    assert all(chain.rpc_url is None and chain.ws_url is None for chain in DEFAULT_CHAINS)


def test_aliases_are_no_chains_of_their_own() -> None:
    names = {chain.name for chain in DEFAULT_CHAINS}
    assert not names & ALIASES.keys()
    assert set(ALIASES.values()) <= names
