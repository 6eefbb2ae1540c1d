"""The only code that loads the PKCS#11 module. One thread, one login, handles kept: see docs/threat-model.md.

Measured facts this file lives by: python-pkcs11 calls C_Initialize(NULL), so two threads crash the process;
processes that log in at once fail unless a file lock serialises them; closing the session that logged in logs the
process out; searching is linear, so nothing is searched for on the way of a request.
"""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.constants import DEFAULT
from pkcs11.exceptions import (
    MultipleObjectsReturned,
    MultipleTokensReturned,
    NoSuchKey,
    NoSuchToken,
    PinExpired,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
    UserPinNotInitialized,
)
from pkcs11.util.ec import encode_named_curve_parameters

from signer import cryptoki as ck
from signer.config import SignerConfig
from signer.ecdsa import SECP256K1_OID, address_of, normalise, public_key_of
from signer.errors import SignerError, SignerUnavailable

T = TypeVar("T")
# so that nobody else imports pkcs11 to catch what it raises
HsmFault = PKCS11Error

SECP256K1: Final = encode_named_curve_parameters(SECP256K1_OID)
# RFC 8032 curve name as a PrintableString, the form PKCS#11 v2.40 errata tokens and SoftHSM take
ED25519: Final = bytes.fromhex("130c656477617264733235353139")
KEY_ROOT, VAULT_ROOT = "talon-root-signing-keys-v1", "talon-root-vault-keys-v1"
GCM_NONCE_BYTES, GCM_TAG_BITS = 12, 128

ONLY_SIGNING_KEYS: Final[dict[int, ck.Value]] = {
    ck.CLASS: ck.PRIVATE_KEY_CLASS,
    ck.KEY_TYPE: ck.EC_KEY_TYPE,
    ck.SENSITIVE: True,
    ck.EXTRACTABLE: False,
}
ONLY_VAULT_KEYS: Final[dict[int, ck.Value]] = {
    ck.CLASS: ck.SECRET_KEY_CLASS,
    ck.KEY_TYPE: ck.AES_KEY_TYPE,
    ck.SENSITIVE: True,
    ck.EXTRACTABLE: False,
    # it wraps data keys: able to decrypt, it would give them away
    ck.ENCRYPT: False,
    ck.DECRYPT: False,
}

# python-pkcs11 adds a capability for every one of these unless told to leave it to the token
UNSET = {
    Attribute.ENCRYPT: DEFAULT,
    Attribute.DECRYPT: DEFAULT,
    Attribute.WRAP: DEFAULT,
    Attribute.UNWRAP: DEFAULT,
    Attribute.SIGN: DEFAULT,
    Attribute.VERIFY: DEFAULT,
    Attribute.DERIVE: DEFAULT,
}
LOCKED_IN = {Attribute.TOKEN: False, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
# The state between birth and wrapping: a session object, which no other process can see
_NEWBORN = {Attribute.TOKEN: False, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: True}
SIGNING_KEY = {**UNSET, **LOCKED_IN, Attribute.SIGN: True}
KEK = {**UNSET, **LOCKED_IN, Attribute.WRAP: True, Attribute.UNWRAP: True}
KEK |= {Attribute.ENCRYPT: False, Attribute.DECRYPT: False}
DEK = {**UNSET, **LOCKED_IN, Attribute.ENCRYPT: True, Attribute.DECRYPT: True}
DEK |= {Attribute.WRAP: False, Attribute.UNWRAP: False}
LOCK_TIMEOUT_S: Final = 60.0


@dataclass
class Roots:
    """The handful of objects that live in the token: they wrap and unwrap, nothing else."""

    signing: Any
    vault: Any


class WrongToken(Exception):  # noqa: N818 - reads as what it says
    """The token is not the one that wrapped this database's keys, or is not there at all."""


class KeyMissing(SignerUnavailable):
    """The token does not have a key that the database names."""


class PinRefused(Exception):  # noqa: N818 - as above
    """The token does not take the PIN. Not to be tried again: tokens that count wrong PINs lock themselves."""


class Hsm:
    """A logged-in session and its roots. What talks to the token may raise pkcs11's PKCS11Error: see `guarded`."""

    def __init__(self, config: SignerConfig) -> None:
        self.module = config.pkcs11_module
        self.wrap_mechanism = Mechanism(config.wrap_mechanism)
        self._token, self.session = open_session(config)
        self.slot_id = int(self._token.slot.slot_id)
        self.provider = str(self._token.manufacturer_id).strip() or "pkcs11"
        self.unusable = False
        self._roots: Roots | None = None
        self._probe: tuple[Any, bytes] | None = None

    @property
    def roots(self) -> Roots:
        """The roots; only after `open_roots`."""
        assert self._roots is not None
        return self._roots

    def open_roots(self, *, create: bool) -> None:
        """Find the roots, making the missing ones if `create`; the caller sees to it that one process does this.

        WrongToken when they are missing otherwise: new ones would load none of the keys that exist.
        """
        self._roots = Roots(
            signing=self._root(KEY_ROOT, ONLY_SIGNING_KEYS, create=create),
            vault=self._root(VAULT_ROOT, ONLY_VAULT_KEYS, create=create),
        )
        point, newborn = self.new_signing_pair()
        try:
            blob = self.wrap(self._roots.signing, newborn)
        finally:
            newborn.destroy()
        self._probe = self.unwrap(self._roots.signing, blob, SIGNING_KEY, ec=True), address_of(public_key_of(point))

    def _root(self, label: str, unwraps: dict[int, ck.Value], *, create: bool) -> Any:
        try:
            return self.find_root(label)
        except MultipleObjectsReturned:
            raise WrongToken(f"the token has several {label} (MultipleObjectsReturned)") from None
        except NoSuchKey:
            if not create:
                raise WrongToken(f"the token has no {label}, but the database has keys") from None
            ck.create_wrapping_key(self.module, self.slot_id, label, unwraps)
            return self.find_root(label)

    def find_root(self, label: str) -> Any:
        """A wrapping key by its label; pkcs11's NoSuchKey when there is none."""
        return self.session.get_key(object_class=ObjectClass.SECRET_KEY, key_type=KeyType.AES, label=label)

    def guarded(self, work: Callable[[], T]) -> T:
        """Run HSM work; the token's own faults come out as SignerUnavailable, which names only their kind.

        KeyMissing, one of them, for a key that is not in the token.
        """
        try:
            return work()
        except NoSuchKey:
            raise KeyMissing("the HSM failed (NoSuchKey)") from None
        except PKCS11Error as error:
            self.examine()
            raise SignerUnavailable(f"the HSM failed ({type(error).__name__})") from None

    def prove(self, key: Any, address: bytes) -> None:
        """Have a loaded key sign something new; SignerUnavailable unless that recovers to its address."""
        digest = self.random(32)
        normalise(self.sign_digest(key, digest), digest, address)

    def examine(self) -> bool:
        """After a fault: can the token still sign? If not, `unusable` is set for good.

        A lost session or login takes every key that was loaded with it, and neither comes back by itself.
        """
        try:
            if self._probe is not None:
                self.prove(*self._probe)
        except (PKCS11Error, SignerError):
            self.unusable = True
        return not self.unusable

    def wrap(self, root: Any, key: Any) -> bytes:
        """The wrapped form of an extractable key."""
        return bytes(root.wrap_key(key, mechanism=self.wrap_mechanism))

    def unwrap(self, root: Any, blob: bytes, template: dict[Attribute, Any], *, ec: bool = False) -> Any:
        """Load a wrapped key as a session object with exactly these attributes."""
        return root.unwrap_key(
            ObjectClass.PRIVATE_KEY if ec else ObjectClass.SECRET_KEY,
            KeyType.EC if ec else KeyType.AES,
            blob,
            mechanism=self.wrap_mechanism,
            store=False,
            template=template,
        )

    def new_signing_pair(self) -> tuple[bytes, Any]:
        """A fresh secp256k1 pair: the DER EC_POINT, and the private key in its newborn state. Wrap and destroy it."""
        parameters = self.session.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: SECP256K1}, local=True)
        public, private = parameters.generate_keypair(
            store=False,
            public_template={Attribute.TOKEN: False},
            private_template={**UNSET, **_NEWBORN, Attribute.SIGN: True},
        )
        point = bytes(public[Attribute.EC_POINT])
        public.destroy()
        return point, private

    def newborn_signing_key(self, private_key: bytes) -> Any:
        """An imported private key in its newborn state. Wrap and destroy it."""
        return self.session.create_object(
            {
                Attribute.CLASS: ObjectClass.PRIVATE_KEY,
                Attribute.KEY_TYPE: KeyType.EC,
                Attribute.PRIVATE: True,
                Attribute.SIGN: True,
                Attribute.EC_PARAMS: SECP256K1,
                Attribute.VALUE: private_key,
                **_NEWBORN,
            }
        )

    def newborn_aes_key(self, usable_for: dict[Attribute, Any]) -> Any:
        """A fresh AES-256 key that may be wrapped once and must then be destroyed."""
        return self.session.generate_key(KeyType.AES, 256, store=False, template={**usable_for, **_NEWBORN})

    def sign_digest(self, key: Any, digest: bytes) -> bytes:
        """CKM_ECDSA over 32 bytes that this process hashed itself: 64 bytes r‖s."""
        return bytes(key.sign(digest, mechanism=Mechanism.ECDSA))

    def random(self, count: int) -> bytes:
        """Bytes from the HSM's generator."""
        return bytes(self.session.generate_random(count * 8))

    def encrypt(self, key: Any, nonce: bytes, context: bytes, plaintext: bytes) -> bytes:
        """AES-256-GCM: ciphertext and tag, with `context` as associated data."""
        return bytes(
            key.encrypt(
                plaintext,
                mechanism=Mechanism.AES_GCM,
                mechanism_param=pkcs11.GCMParams(nonce, context, GCM_TAG_BITS),
            )
        )

    def decrypt(self, key: Any, nonce: bytes, context: bytes, ciphertext: bytes) -> bytes:
        """AES-256-GCM; raises pkcs11's own error when the tag does not fit."""
        return bytes(
            key.decrypt(
                ciphertext,
                mechanism=Mechanism.AES_GCM,
                mechanism_param=pkcs11.GCMParams(nonce, context, GCM_TAG_BITS),
            )
        )

    def new_jwt_pair(self, kid: str) -> bytes:
        """A token-signing pair that never leaves the token; the DER EC_POINT."""
        return bytes(self.new_ed25519_pair(jwt_label(kid))[0][Attribute.EC_POINT])

    def new_audit_pair(self, kid: str) -> bytes:
        """The same for a pair that signs audit heads."""
        return bytes(self.new_ed25519_pair(audit_label(kid))[0][Attribute.EC_POINT])

    def new_ed25519_pair(self, label: str, *, store: bool = True) -> tuple[Any, Any]:
        """An Ed25519 pair whose private half never leaves the token; gone with the session unless stored."""
        parameters = self.session.create_domain_parameters(
            KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: ED25519}, local=True
        )
        public, private = parameters.generate_keypair(
            store=store,
            mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
            label=label,
            private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
        )
        return public, private

    def jwt_key(self, kid: str) -> Any:
        """The private half of a token-signing pair."""
        return self.session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=jwt_label(kid))

    def audit_key(self, kid: str) -> Any:
        """The private half of a pair that signs audit heads."""
        return self.session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=audit_label(kid))

    def sign_eddsa(self, key: Any, message: bytes) -> bytes:
        """Ed25519 over a message (RFC 8032)."""
        return bytes(key.sign(message, mechanism=Mechanism.EDDSA))


def jwt_label(kid: str) -> str:
    """The token label of a token-signing pair."""
    return f"talon-jwt-{kid}"


def audit_label(kid: str) -> str:
    """The token label of a pair that signs audit heads."""
    return f"talon-audit-{kid}"


def open_session(config: SignerConfig) -> tuple[Any, Any]:
    """The token, and a session that is logged in. It is never closed: that would log the whole process out.

    WrongToken, PinRefused.
    """
    with _serialised(config):
        token = _find_token(config)
        return token, _log_in(token, config)


def _find_token(config: SignerConfig) -> Any:
    """The token by its label; WrongToken when the library does not load, or has none or several of that name."""
    try:
        library = pkcs11.lib(config.pkcs11_module)
    except PKCS11Error as error:
        if "loading" not in str(error):
            raise
        # the loader's own words: "OS exception while loading FILE: FILE: invalid ELF header"
        raise WrongToken(f"the PKCS#11 library does not load: {str(error).rpartition(': ')[2]}") from None
    try:
        return library.get_token(token_label=config.pkcs11_token)
    except NoSuchToken:
        raise WrongToken(f'the HSM has no token named "{config.pkcs11_token}"') from None
    except MultipleTokensReturned:
        raise WrongToken(f'the HSM has several tokens named "{config.pkcs11_token}"') from None


def _log_in(token: Any, config: SignerConfig) -> Any:
    """A session of the token's user; PinRefused."""
    try:
        return token.open(rw=True, user_pin=config.pkcs11_pin_file.read_text().strip())
    except (PinIncorrect, PinInvalid, PinLenRange):
        raise PinRefused(
            f'the token "{config.pkcs11_token}" does not take the PIN of the PIN file: one of the two was changed'
        ) from None
    except PinLocked:
        raise PinRefused(f'the token "{config.pkcs11_token}" has locked itself after too many wrong PINs') from None
    except PinExpired:
        raise PinRefused(f'the PIN of the token "{config.pkcs11_token}" has expired: set a new one') from None
    except UserPinNotInitialized:
        raise PinRefused(f'the token "{config.pkcs11_token}" has no user PIN yet') from None


@contextmanager
def _serialised(config: SignerConfig) -> Iterator[None]:
    # login rewrites a token file: several processes starting at once fail in 8 to 22 of 100 cases without this
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    with config.lock_file.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SignerUnavailable("another process holds the token's lock") from None
                time.sleep(0.01)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
