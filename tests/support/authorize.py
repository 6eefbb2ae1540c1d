"""Use up an account's nonce without a transaction of its own: an EIP-7702 authorisation that somebody else sends."""

from eth_account import Account

from anvil.accounts import ACCOUNTS
from anvil.chain import CHAIN_ID
from anvil.rpc import call

SENDER = ACCOUNTS[8]


def authorize(url: str, private_key: bytes, nonce: int) -> str:
    """Have the local chain take an authorisation with `nonce`; returns the hash of the transaction it travels in."""
    signed = Account.sign_authorization(
        {"chainId": CHAIN_ID, "address": "0x" + "00" * 20, "nonce": nonce}, private_key
    )
    transaction = {
        "type": 4,
        "chainId": CHAIN_ID,
        "nonce": int(call(url, "eth_getTransactionCount", SENDER.address, "pending"), 16),
        "gas": 200_000,
        "maxFeePerGas": 10**11,
        "maxPriorityFeePerGas": 10**9,
        "to": SENDER.address,
        "value": 0,
        "data": b"",
        "authorizationList": [signed],
    }
    raw = Account.sign_transaction(transaction, SENDER.private_key).raw_transaction
    return str(call(url, "eth_sendRawTransaction", f"0x{raw.hex().removeprefix('0x')}"))
