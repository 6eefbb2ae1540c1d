"""The local chain: Foundry's anvil to start, accounts and funds, and contracts to test against."""
