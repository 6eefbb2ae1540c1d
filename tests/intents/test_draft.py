"""Two bodies that mean the same are one draft; two that do not are never taken for each other."""

from dataclasses import replace

from chains.defaults import ANVIL
from chains.fees import FeeRequest
from intents.draft import Draft

BASE = Draft(
    chain=ANVIL,
    to=b"\x01" * 20,
    value_wei=5,
    data=b"",
    signing_key_path="keys/anvil-signer",
    nonce=None,
    gas_limit=None,
    fees=FeeRequest(None, None, None),
    simulate_first=False,
)
OTHERS = [
    replace(BASE, chain=replace(ANVIL, chain_id=1)),
    replace(BASE, to=b"\x02" * 20),
    replace(BASE, value_wei=6),
    replace(BASE, data=b"\x00"),
    replace(BASE, signing_key_path="keys/other"),
    replace(BASE, nonce=0),
    replace(BASE, gas_limit=21_000),
    replace(BASE, fees=FeeRequest(1, None, None)),
    replace(BASE, fees=FeeRequest(None, 1, None)),
    replace(BASE, fees=FeeRequest(None, None, 1)),
]


def test_every_field_that_changes_the_signed_bytes_changes_the_fingerprint() -> None:
    prints = [draft.fingerprint() for draft in (BASE, *OTHERS)]
    assert len(set(prints)) == len(prints)


def test_what_changes_nothing_signed_does_not() -> None:
    assert replace(BASE, simulate_first=True).fingerprint() == BASE.fingerprint()
    renamed = replace(BASE, chain=replace(ANVIL, display_name="another", max_gas_cost_wei=1))
    assert renamed.fingerprint() == BASE.fingerprint()
