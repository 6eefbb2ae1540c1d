"""Sign a transaction under an approval: check, redeem, sign, normalise, recover, compare. In this order.

The digest is computed here, from the transaction itself; what the caller says it is only has to agree.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from chains.transactions import Transaction, decode_signed, encode_signed, signing_digest, transaction_hash
from guardrails.approval import SELF_SENT, Approval, is_filler
from signer.ecdsa import normalise
from signer.errors import ApprovalRefused, SignerUnavailable
from signer.hsm import Hsm
from signer.keys import Keys
from signer.store import Store


@dataclass(frozen=True)
class Signed:
    """The raw transaction, its hash and its sender."""

    raw: bytes
    hash: bytes
    sender: bytes


def sign(hsm: Hsm, keys: Keys, store: Store, approval: Approval, transaction: Transaction) -> Signed:
    """One signature for one approval; ApprovalRefused, KeyNotFound or SignerUnavailable otherwise."""
    digest = signing_digest(transaction)
    if digest != approval.digest:
        raise ApprovalRefused("the approval is for other bytes")
    if approval.expires_at <= datetime.now(UTC):
        raise ApprovalRefused("the approval has expired")
    key = keys.load(approval.key_id)
    if approval.kind in SELF_SENT and not is_filler(transaction, key.address):
        raise ApprovalRefused("a filler goes to its own sender, with no value and no data")
    # Durably used up before the signature exists: a crash in between costs an approval, never a second signature
    store.redeem(approval)
    signature = normalise(hsm.guarded(lambda: hsm.sign_digest(key.handle, digest)), digest, key.address)
    raw = encode_signed(transaction, signature.r, signature.s, signature.y_parity)
    # Read back what will leave: the bytes must say what was asked, and recover to the key that was meant
    if decode_signed(raw) != (transaction, key.address):
        raise SignerUnavailable("the signed bytes do not say what was approved")
    return Signed(raw, transaction_hash(raw), key.address)
