"""Attack our own custody with a throw-away key, at every start; a signer whose keys can be had refuses to serve.

On a loaded signing key: read its value, wrap it under any wrapping key, relax its attributes, copy it into a looser
one. On a stored blob: decrypt it with the wrapping key, unwrap it as an extractable key, unwrap it as a key of
another class. On a vault's key-encryption key: the same, as far as it applies. On the roots: read them, make them
decrypt, copy them into keys that do. Source: PKCS#11 v2.40, sections 4.4 and 5.14; the conflict of wrap and decrypt
is the classic of Clulow (2003).

Controls come first, because "refused" proves nothing about a token on which nothing works.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.exceptions import PKCS11Error

from signer import cryptoki
from signer.ecdsa import address_of, public_key_of
from signer.hsm import KEK, LOCKED_IN, SIGNING_KEY, UNSET, Hsm

SAFE: Final = "refused"
WORKED: Final = "worked"

Attack = Callable[[], Any]
_READABLE = {**UNSET, **LOCKED_IN, Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}


class CustodyBroken(Exception):  # noqa: N818 - reads as what it says
    """An attack on a throw-away key worked: the same would work on a real one. Names the attacks."""


def attack(hsm: Hsm) -> dict[str, str]:
    """Run every attack; `refused` for each that failed, `worked` for each other. Raises SignerUnavailable or
    PKCS11Error when a control fails: then nothing is known."""
    objects: list[Any] = []

    def keep(made: Any) -> Any:
        objects.append(made)
        return made

    try:
        attacks = _signing_key_attacks(hsm, keep) | _vault_key_attacks(hsm, keep) | _root_attacks(hsm)
        attacks |= _audit_key_attacks(hsm, keep)
        return {name: WORKED if _works(work) else SAFE for name, work in attacks.items()}
    finally:
        for made in objects:
            made.destroy()


def demand(results: dict[str, str]) -> None:
    """CustodyBroken unless every attack was refused."""
    broken = sorted(name for name, result in results.items() if result != SAFE)
    if broken:
        raise CustodyBroken(
            f"a key in this HSM can be taken out: {', '.join(broken)}. Refusing to serve; see docs/threat-model.md."
        )


def _root_attacks(hsm: Hsm) -> dict[str, Attack]:
    attacks: dict[str, Attack] = {}
    for name, root in (("root", hsm.roots.signing), ("vault_root", hsm.roots.vault)):
        attacks[f"{name}_read_value"] = partial(_get, root, Attribute.VALUE)
        attacks[f"{name}_set_decrypt"] = partial(_set_and_undo, root, Attribute.DECRYPT)
        attacks[f"{name}_copy_decrypt"] = partial(root.copy, {Attribute.DECRYPT: True})
    return attacks


def _signing_key_attacks(hsm: Hsm, keep: Callable[[Any], Any]) -> dict[str, Attack]:
    root = hsm.roots.signing
    foreign = keep(
        hsm.session.generate_key(
            KeyType.AES, 256, store=False, template={**UNSET, Attribute.TOKEN: False, Attribute.WRAP: True}
        )
    )
    point, newborn = hsm.new_signing_pair()
    try:
        blob = hsm.wrap(root, newborn)
        hsm.wrap(foreign, newborn)  # control: only what a key is may keep the foreign key from wrapping it
    finally:
        newborn.destroy()
    loaded = keep(hsm.unwrap(root, blob, SIGNING_KEY, ec=True))
    hsm.prove(loaded, address_of(public_key_of(point)))  # control: it is a working key that is attacked
    return {
        "read_value": lambda: loaded[Attribute.VALUE],
        "wrap_by_own_root": lambda: hsm.wrap(root, loaded),
        "wrap_by_vault_root": lambda: hsm.wrap(hsm.roots.vault, loaded),
        "wrap_by_foreign_key": lambda: hsm.wrap(foreign, loaded),
        "set_extractable": lambda: _set(loaded, Attribute.EXTRACTABLE, value=True),
        "set_not_sensitive": lambda: _set(loaded, Attribute.SENSITIVE, value=False),
        "copy_extractable": lambda: loaded.copy({Attribute.EXTRACTABLE: True}),
        "copy_not_sensitive": lambda: loaded.copy({Attribute.SENSITIVE: False}),
        "decrypt_blob": lambda: _decrypt(hsm, root, blob),
        "unwrap_extractable": lambda: hsm.unwrap(root, blob, {**SIGNING_KEY, Attribute.EXTRACTABLE: True}, ec=True),
        "unwrap_not_sensitive": lambda: hsm.unwrap(root, blob, {**SIGNING_KEY, Attribute.SENSITIVE: False}, ec=True),
        "unwrap_as_aes": lambda: hsm.unwrap(root, blob, _READABLE),
        # as unreadable as the root's template asks, but of a class whose mechanisms may give it away
        "unwrap_as_hidden_aes": lambda: hsm.unwrap(root, blob, {**UNSET, **LOCKED_IN, Attribute.ENCRYPT: True}),
        "unwrap_as_generic_secret": lambda: _unwrap_as_generic_secret(hsm, root, blob),
    }


def _vault_key_attacks(hsm: Hsm, keep: Callable[[Any], Any]) -> dict[str, Attack]:
    root = hsm.roots.vault
    usable = {Attribute.WRAP: True, Attribute.UNWRAP: True, Attribute.ENCRYPT: False, Attribute.DECRYPT: False}
    newborn = hsm.newborn_aes_key(usable)
    try:
        blob = hsm.wrap(root, newborn)
    finally:
        newborn.destroy()
    loaded = keep(hsm.unwrap(root, blob, KEK))
    data_key = hsm.newborn_aes_key({Attribute.ENCRYPT: True, Attribute.DECRYPT: True})
    try:
        wrapped_data_key = hsm.wrap(loaded, data_key)  # control as well: the loaded key works
    finally:
        data_key.destroy()
    return {
        "vault_key_read_value": lambda: loaded[Attribute.VALUE],
        "vault_key_wrap_by_root": lambda: hsm.wrap(root, loaded),
        "vault_key_set_extractable": lambda: _set(loaded, Attribute.EXTRACTABLE, value=True),
        "vault_key_decrypt_blob": lambda: _decrypt(hsm, root, blob),
        "vault_key_decrypt_data_key": lambda: _decrypt(hsm, loaded, wrapped_data_key),
        "vault_key_unwrap_readable": lambda: hsm.unwrap(root, blob, _READABLE),
        "vault_key_unwrap_to_decrypt": lambda: hsm.unwrap(root, blob, {**KEK, Attribute.DECRYPT: True}),
        "vault_key_unwrap_as_generic_secret": lambda: _unwrap_as_generic_secret(hsm, root, blob),
    }


def _audit_key_attacks(hsm: Hsm, keep: Callable[[Any], Any]) -> dict[str, Attack]:
    public, private = hsm.new_ed25519_pair("talon-attacked", store=False)
    loaded, _ = keep(private), keep(public)
    hsm.sign_eddsa(loaded, b"control: it is a working key that is attacked")
    return {
        "audit_key_read_value": lambda: loaded[Attribute.VALUE],
        "audit_key_wrap_by_root": lambda: hsm.wrap(hsm.roots.signing, loaded),
        "audit_key_set_extractable": lambda: _set(loaded, Attribute.EXTRACTABLE, value=True),
        "audit_key_copy_extractable": lambda: loaded.copy({Attribute.EXTRACTABLE: True}),
    }


def _get(key: Any, attribute: Attribute) -> Any:
    return key[attribute]


def _set_and_undo(key: Any, attribute: Attribute) -> Any:
    before = key[attribute]
    worked = _set(key, attribute, value=True)
    key[attribute] = before
    return worked


def _set(key: Any, attribute: Attribute, *, value: bool) -> Any:
    key[attribute] = value
    # a token that swallows the change without a word has refused it too
    return True if key[attribute] == value else None


def _decrypt(hsm: Hsm, key: Any, blob: bytes) -> bytes | None:
    return cryptoki.decrypt_block(hsm.module, hsm.slot_id, key.handle, blob[: cryptoki.AES_BLOCK_BYTES])


def _unwrap_as_generic_secret(hsm: Hsm, root: Any, blob: bytes) -> Any:
    return root.unwrap_key(
        ObjectClass.SECRET_KEY,
        KeyType.GENERIC_SECRET,
        blob,
        mechanism=hsm.wrap_mechanism,
        store=False,
        template=_READABLE,
    )


def _works(work: Attack) -> bool:
    try:
        loot = work()
    except PKCS11Error:
        return False
    if hasattr(loot, "destroy"):
        loot.destroy()
    return loot is not None
