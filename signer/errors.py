"""What can go wrong at the signer, typed; each has a code that crosses the socket."""

from typing import ClassVar


class SignerError(Exception):
    """Base of everything the signer reports; the text is fit for a log, never holds a secret."""

    code: ClassVar[str] = "internal"


class SignerUnavailable(SignerError):  # noqa: N818 - reads as what it says
    """The signer, its HSM or its database does not answer; nothing was signed, try again."""

    code = "unavailable"


class DatabaseRefuses(SignerUnavailable):
    """The signer's database takes nothing from anybody; nothing was signed. The text is a sentence for people."""

    code = "database_refuses"


class KeyNotFound(SignerError):  # noqa: N818 - as above
    """No key with this id."""

    code = "key_not_found"


class InvalidKey(SignerError):  # noqa: N818 - as above
    """Bytes that are no secp256k1 private key, or an id that names another key already."""

    code = "invalid_key"


class ApprovalRefused(SignerError):  # noqa: N818 - as above
    """The approval does not cover these bytes, has expired, or was redeemed before."""

    code = "approval_refused"


class DigestStands(ApprovalRefused):
    """Another digest was signed for this address, chain and nonce; `digest` is its 32 bytes.

    Signed only under an approval that names this digest, and why it may be displaced.
    """

    code = "digest_stands"

    def __init__(self, detail: str, digest: bytes = b"") -> None:
        super().__init__(detail)
        self.digest = digest


class SealBroken(SignerError):  # noqa: N818 - as above
    """Sealed bytes that were not sealed for this vault and context, or were changed."""

    code = "seal_broken"


class AuditHeadRefused(SignerError):  # noqa: N818 - as above
    """An audit head that contradicts one signed before: the chain was cut or rewritten."""

    code = "audit_head_refused"


class RotatedJustNow(SignerError):  # noqa: N818 - as above
    """The token-signing key was rotated a moment ago; nothing was done."""

    code = "rotated_just_now"


class TokenTooLarge(SignerError):  # noqa: N818 - as above
    """A token that says more than verifiers take."""

    code = "token_too_large"


class ProtocolError(SignerError):
    """A frame or request that is not of the protocol."""

    code = "protocol"


BY_CODE: dict[str, type[SignerError]] = {
    kind.code: kind
    for kind in (
        *(SignerUnavailable, DatabaseRefuses, KeyNotFound, InvalidKey, ApprovalRefused, SealBroken, AuditHeadRefused),
        *(DigestStands, RotatedJustNow, TokenTooLarge, ProtocolError, SignerError),
    )
}
