"""What can go wrong about chains, typed; translated to HTTP elsewhere."""


class ChainsError(Exception):
    """Base of everything this package raises; the text is fit to be shown to the caller."""


class BadAmount(ChainsError):  # noqa: N818 - reads as what it says: raise BadAmount(...)
    """Text that is not exactly an amount."""


class BadAddress(ChainsError):  # noqa: N818 - as above
    """Text that is not an address, or whose EIP-55 checksum is wrong."""


class BadHex(ChainsError):  # noqa: N818 - as above
    """Text that is not 0x-prefixed bytes, or too many of them."""


class BadFees(ChainsError):  # noqa: N818 - as above
    """Fees that contradict each other or the chain."""


class BadTransaction(ChainsError):  # noqa: N818 - as above
    """Fields or bytes that are no transaction of a type we sign."""


class BadNonce(ChainsError):  # noqa: N818 - as above
    """An explicit nonce that cannot be used."""


class NonceSkips(BadNonce):
    """Above the next free nonce: it would wait for transactions that nobody has made."""


class NonceUsed(BadNonce):
    """Below the chain's nonce: mined already, by this or another transaction."""


class NonceInFlight(BadNonce):
    """Taken by a transaction of ours that may still be mined."""


class RpcError(ChainsError):
    """A node did not give the answer; messages never contain an endpoint's credentials or path."""


class RpcUnavailable(RpcError):  # noqa: N818 - as above
    """No endpoint of the chain answered."""


class Unreadable(RpcUnavailable):
    """A node answered, but not with what was asked: this one answer is missing, not the node."""


class DoubtfulPrice(RpcUnavailable):
    """The one endpoint that answers names a price that nobody would pay knowingly."""


class NoEndpoint(RpcUnavailable):
    """The operator named no endpoint for the chain."""


class WrongChain(RpcError):  # noqa: N818 - as above
    """The endpoint serves another chain than the one it is configured for."""


class WrongGenesis(WrongChain):
    """The endpoint serves a chain of the right id that began with another block: it was reset, or never was ours."""


class RpcRefused(RpcError):  # noqa: N818 - as above
    """A node answered with a JSON-RPC error: `code`, `message`, and `data` when it is text (revert bytes)."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data
