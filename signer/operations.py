"""What the signer can be asked to do: whole operations only. No operation signs, wraps or decrypts raw input."""

from collections.abc import Callable
from typing import Any, Final

from pkcs11.exceptions import PKCS11Error

from chains.errors import ChainsError
from chains.transactions import from_fields
from signer import custody
from signer.config import SignerConfig
from signer.errors import ProtocolError
from signer.hsm import Hsm
from signer.jwt import Tokens
from signer.keys import Keys
from signer.protocol import VERSION, approval_of, bytes_of, to_text, uuid_of
from signer.seal import Seals
from signer.sign import sign
from signer.store import Store, StoredKey

# Lower runs first: a signature under a wallet's lock waits for nothing but another one
URGENT, NORMAL = 0, 1

Args = dict[str, Any]


class Operations:
    """The signer's whole state, built once; every method runs on the one thread that owns the HSM."""

    def __init__(self, config: SignerConfig) -> None:
        self.store = Store(config.database_url)
        self.hsm = Hsm(config)
        self.keys = Keys(self.hsm, self.store, config.key_cache)
        self.seals = Seals(self.hsm, self.store)
        self.tokens = Tokens(self.hsm, self.store)
        self.custody: dict[str, str] = {}

    def open(self) -> None:
        """Create what must exist once, then attack it; raises CustodyBroken when an attack works."""
        with self.store.bootstrap_lock():
            self.hsm.guarded(self.hsm.open_roots)
            self.tokens.open()
        self.custody = self.hsm.guarded(lambda: custody.attack(self.hsm))
        custody.demand(self.custody)

    def run(self, operation: str, args: Args) -> Args:
        """Carry out one request; SignerError says what went wrong."""
        if operation not in OPERATIONS:
            raise ProtocolError("unknown operation")
        return OPERATIONS[operation][1](self, args)

    def health(self, _: Args) -> Args:
        """Alive, logged in, and how custody stood the attack; asks the HSM for a byte to know."""
        self.hsm.guarded(lambda: self.hsm.random(1))
        return {
            "ok": True,
            "provider": self.hsm.provider,
            "custody_checks": self.custody,
            "keys_loaded": len(self.keys),
            "version": VERSION,
        }

    def sign_transaction(self, args: Args) -> Args:
        """Redeem an approval and sign."""
        fields = args.get("transaction")
        if not isinstance(fields, dict):
            raise ProtocolError("transaction is missing")
        try:
            transaction = from_fields(fields)
        except (ChainsError, ValueError, TypeError, KeyError):
            raise ProtocolError("transaction is malformed") from None
        signed = sign(self.hsm, self.keys, self.store, approval_of(args), transaction)
        return {"raw": to_text(signed.raw), "hash": to_text(signed.hash), "sender": to_text(signed.sender)}

    def generate_key(self, args: Args) -> Args:
        """A new signing key."""
        return _public(self.keys.generate(uuid_of(args, "key_id")))

    def import_key(self, args: Args) -> Args:
        """A signing key from outside."""
        return _public(self.keys.import_(uuid_of(args, "key_id"), bytes_of(args, "private_key")))

    def create_vault_key(self, args: Args) -> Args:
        """A vault's first key-encryption key."""
        self.seals.create_vault_key(uuid_of(args, "vault_id"))
        return {}

    def seal(self, args: Args) -> Args:
        """Encrypt a secret for one place."""
        sealed = self.seals.seal(uuid_of(args, "vault_id"), bytes_of(args, "context"), bytes_of(args, "plaintext"))
        return {"sealed": to_text(sealed)}

    def open_secret(self, args: Args) -> Args:
        """Decrypt a secret of one place."""
        plaintext = self.seals.open(uuid_of(args, "vault_id"), bytes_of(args, "context"), bytes_of(args, "sealed"))
        return {"plaintext": to_text(plaintext)}

    def sign_jwt(self, args: Args) -> Args:
        """A token."""
        claims = args.get("claims")
        if not isinstance(claims, dict):
            raise ProtocolError("claims are missing")
        return {"token": self.tokens.sign(claims)}

    def jwt_keys(self, _: Args) -> Args:
        """The public halves of the token-signing keys."""
        return {
            "keys": [
                {"kid": kid, "public_key": to_text(public_key), "retired": retired}
                for kid, public_key, retired in self.store.jwt_keys()
            ]
        }


OPERATIONS: Final[dict[str, tuple[int, Callable[[Operations, Args], Args]]]] = {
    "health": (URGENT, Operations.health),
    "sign_transaction": (URGENT, Operations.sign_transaction),
    "sign_jwt": (URGENT, Operations.sign_jwt),
    "jwt_keys": (URGENT, Operations.jwt_keys),
    "generate_key": (NORMAL, Operations.generate_key),
    "import_key": (NORMAL, Operations.import_key),
    "create_vault_key": (NORMAL, Operations.create_vault_key),
    "seal": (NORMAL, Operations.seal),
    "open": (NORMAL, Operations.open_secret),
}

HsmFault = PKCS11Error


def _public(key: StoredKey) -> Args:
    return {"key_id": str(key.id), "address": to_text(key.address), "public_key": to_text(key.public_key)}
