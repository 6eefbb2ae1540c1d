"""The same key in somebody else's program: transactions that Talon knows nothing of."""

from eth_account import Account

from tests.support.world import Chain, Wallet, address


async def send_elsewhere(chain: Chain, wallet: Wallet, count: int) -> list[str]:
    """Mine `count` transfers of one wei from the wallet, past Talon; returns their hashes."""
    assert wallet.private_key is not None
    first = await chain.nonce(wallet.address)
    hashes = []
    for nonce in range(first, first + count):
        raw = Account.sign_transaction(
            {"to": address(), "value": 1, "gas": 21_000, "gasPrice": 10**11, "nonce": nonce, "chainId": 31337},
            wallet.private_key,
        ).raw_transaction
        hashes.append(await chain.rpc("eth_sendRawTransaction", f"0x{raw.hex().removeprefix('0x')}"))
    await chain.wait_nonce(wallet.address, first + count)
    return hashes
