"""Give an account native coin on the local chain."""

from anvil.rpc import call


def set_balance(rpc_url: str, address: str, wei: int) -> None:
    """Set the balance of a 0x address to `wei`; AnvilError when the chain is not anvil."""
    call(rpc_url, "anvil_setBalance", address, hex(wei))
