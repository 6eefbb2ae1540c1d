"""What the signer can be asked to do: whole operations only. No operation signs, wraps or decrypts raw input."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from chains.errors import ChainsError
from chains.transactions import from_fields
from signer import custody
from signer.audit import AuditHeads
from signer.config import SignerConfig
from signer.epoch import Epoch
from signer.errors import ProtocolError, SignerError
from signer.hsm import Hsm, KeyMissing, WrongToken
from signer.jwt import Tokens
from signer.keys import Keys
from signer.protocol import VERSION, approval_of, bytes_of, to_text, uuid_of
from signer.seal import Seals
from signer.sign import Request, Signed, Signing
from signer.store import Store, StoredKey
from signer.token_order import order_of

Args = dict[str, Any]

PUT_BACK: Final = "put back the token that this database was used with"


class Operations:
    """The signer's whole state, built once; everything runs on the one thread that owns the HSM."""

    def __init__(self, config: SignerConfig) -> None:
        self.store = Store(config.database_url)
        self.hsm = Hsm(config)
        self.keys = Keys(self.hsm, self.store, config.key_cache)
        self.signing = Signing(self.hsm, self.keys, self.store)
        self.seals = Seals(self.hsm, self.store)
        self.tokens = Tokens(self.hsm, self.store)
        self.audit = AuditHeads(self.hsm, self.store)
        self.epoch = Epoch(self.hsm, self.store, config.epoch_file)
        self.custody: dict[str, str] = {}

    async def open(self) -> None:
        """Create what must exist once, attack it, and see that the token is the one of this database.

        Raises CustodyBroken when an attack works, WrongToken when the stored keys are not this token's, OlderDatabase
        when the database was put back since the supervisor looked.
        """
        async with self.store.bootstrap():
            empty = await self.store.is_empty()
            self.hsm.guarded(lambda: self.hsm.open_roots(create=empty))
            try:
                await self.tokens.open()
                await self.audit.open()
            except KeyMissing:
                raise WrongToken(f"a stored key does not load with this token (NoSuchKey): {PUT_BACK}") from None
        self.custody = self.hsm.guarded(lambda: custody.attack(self.hsm))
        custody.demand(self.custody)
        newest = await self.store.newest_key()
        if newest is not None:
            try:
                await self.keys.load(newest.id)
            except SignerError as error:
                raise WrongToken(f"a stored key does not load with this token ({error}): {PUT_BACK}") from None
        await self.epoch.open()

    # 1. At once, on arrival: one call of the HSM, no database

    def health(self, _: Args) -> Args:
        """Alive, logged in, and how custody stood the attack; has the HSM sign something to know."""
        return {
            "ok": self.hsm.examine(),
            "provider": self.hsm.provider,
            "custody_checks": self.custody,
            "keys_loaded": len(self.keys),
            "version": VERSION,
        }

    def issue_token(self, args: Args) -> Args:
        """A token for a kind of subject, as long as that kind's may live at most."""
        issued = self.tokens.issue(order_of(args))
        return {"token": issued.token, "jti": str(issued.token_id)}

    # 2. Everything else, one after the other, behind the signatures

    async def jwt_keys(self, _: Args) -> Args:
        """The public halves of the token-signing keys."""
        return {
            "keys": [
                {
                    "kid": key.kid,
                    "public_key": to_text(key.public_key),
                    "created_at_us": key.created_at_us,
                    "retired_at_us": key.retired_at_us,
                }
                for key in await self.tokens.public_keys()
            ]
        }

    async def rotate_jwt_key(self, args: Args) -> Args:
        """A new token-signing key."""
        return {"kid": await self.tokens.rotate(at_once=args.get("at_once") is True)}

    async def sign_audit_head(self, args: Args) -> Args:
        """The next head of an organisation's audit chain, from the seals that the signer reads itself."""
        advanced = await self.audit.advance(uuid_of(args, "org_id"))
        return {"position": advanced.position, "is_more": advanced.is_more, "faults": advanced.faults}

    async def audit_head(self, args: Args) -> Args:
        """The newest head signed for an organisation."""
        head = await self.audit.head(uuid_of(args, "org_id"))
        return {"position": head.position, "integrity_hash": head.integrity_hash} if head else {}

    async def audit_keys(self, _: Args) -> Args:
        """The public halves of the keys that sign audit heads."""
        return {
            "keys": [
                {"kid": key.kid, "public_key": to_text(key.public_key), "retired": key.retired}
                for key in await self.audit.public_keys()
            ]
        }

    async def generate_key(self, args: Args) -> Args:
        """A new signing key."""
        return _public(await self.keys.generate(uuid_of(args, "key_id")))

    async def import_key(self, args: Args) -> Args:
        """A signing key from outside."""
        return _public(await self.keys.import_(uuid_of(args, "key_id"), bytes_of(args, "private_key")))

    async def create_vault_key(self, args: Args) -> Args:
        """A vault's first key-encryption key."""
        await self.seals.create_vault_key(uuid_of(args, "vault_id"))
        return {}

    async def rotate_vault_key(self, args: Args) -> Args:
        """A vault's next key-encryption key."""
        return {"version": await self.seals.rotate_vault_key(uuid_of(args, "vault_id"), _version(args))}

    async def rewrap(self, args: Args) -> Args:
        """Seal under a newer key of the vault; one value a request, so that what is more urgent gets in between."""
        vault_id, context, sealed = uuid_of(args, "vault_id"), bytes_of(args, "context"), bytes_of(args, "sealed")
        return {"sealed": to_text(await self.seals.rewrap(vault_id, context, sealed, _version(args)))}

    async def seal(self, args: Args) -> Args:
        """Encrypt a secret for one place."""
        vault_id, context = uuid_of(args, "vault_id"), bytes_of(args, "context")
        return {"sealed": to_text(await self.seals.seal(vault_id, context, bytes_of(args, "plaintext")))}

    async def open_secret(self, args: Args) -> Args:
        """Decrypt a secret of one place."""
        vault_id, context = uuid_of(args, "vault_id"), bytes_of(args, "context")
        return {"plaintext": to_text(await self.seals.open(vault_id, context, bytes_of(args, "sealed")))}


SIGN: Final = "sign_transaction"
IMMEDIATE: Final[dict[str, Callable[[Operations, Args], Args]]] = {
    "health": Operations.health,
    "issue_token": Operations.issue_token,
}
# lower runs first: what a person waits for, then what makes keys, then what nobody waits for
QUEUED: Final[dict[str, tuple[int, Callable[[Operations, Args], Awaitable[Args]]]]] = {
    "jwt_keys": (0, Operations.jwt_keys),
    "open": (1, Operations.open_secret),
    "seal": (1, Operations.seal),
    "create_vault_key": (1, Operations.create_vault_key),
    "generate_key": (1, Operations.generate_key),
    "import_key": (1, Operations.import_key),
    "rotate_vault_key": (1, Operations.rotate_vault_key),
    "audit_head": (1, Operations.audit_head),
    "audit_keys": (1, Operations.audit_keys),
    "sign_audit_head": (2, Operations.sign_audit_head),
    "rotate_jwt_key": (2, Operations.rotate_jwt_key),
    "rewrap": (3, Operations.rewrap),
}


def signing_request(args: Args) -> Request:
    """The transaction and approval of a request; ProtocolError for anything else."""
    fields = args.get("transaction")
    if not isinstance(fields, dict):
        raise ProtocolError("transaction is missing")
    try:
        transaction = from_fields(fields)
    except (ChainsError, ValueError, TypeError, KeyError):
        raise ProtocolError("transaction is malformed") from None
    return Request(approval_of(args), transaction)


def signed_answer(signed: Signed) -> Args:
    """A signature as it is answered."""
    return {"raw": to_text(signed.raw), "hash": to_text(signed.hash), "sender": to_text(signed.sender)}


def _version(args: Args) -> int:
    version = args.get("version")
    # what PostgreSQL's integer holds
    if type(version) is not int or not 0 < version < 2**31:
        raise ProtocolError("version is not a number of a key")
    return version


def _public(key: StoredKey) -> Args:
    return {"key_id": str(key.id), "address": to_text(key.address), "public_key": to_text(key.public_key)}
