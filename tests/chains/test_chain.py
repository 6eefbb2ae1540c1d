from dataclasses import replace

from chains.defaults import ANVIL


def test_endpoints_may_hold_keys_and_are_not_shown() -> None:
    chain = replace(ANVIL, rpc_url="https://rpc.example/v2/SECRET", ws_url="wss://u:SECRET@rpc.example")
    assert "SECRET" not in repr(chain)
    assert "31337" in repr(chain)
