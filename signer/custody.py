"""Attack our own custody with a throw-away key, at every start; a signer whose key can be had refuses to serve.

On the loaded key: read its value, wrap it under any wrapping key, relax its attributes, copy it into a looser one.
On the stored blob: decrypt it with the wrapping key, unwrap it as an extractable key, unwrap it as a readable AES
key. Source: PKCS#11 v2.40, sections 4.4 and 5.14; the wrap/decrypt conflict is the classic of Clulow (2003).
"""

from collections.abc import Callable
from typing import Any

from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.exceptions import PKCS11Error

from signer.hsm import _LOCKED_IN, _UNSET, SIGNING_KEY, Hsm

SAFE = "refused"


class CustodyBroken(Exception):  # noqa: N818 - reads as what it says
    """An attack on a throw-away key worked: the same would work on a real one. Names the attacks."""


def attack(hsm: Hsm) -> dict[str, str]:
    """Run every attack; returns `refused` for each that failed and what it gave for each that worked."""
    assert hsm.roots is not None
    root = hsm.roots.signing
    _, newborn = hsm.new_signing_pair()
    try:
        blob = hsm.wrap(root, newborn)
    finally:
        newborn.destroy()
    loaded = hsm.unwrap(root, blob, SIGNING_KEY, ec=True)
    foreign = hsm.session.generate_key(
        KeyType.AES, 256, store=False, template={Attribute.TOKEN: False, Attribute.WRAP: True}
    )
    try:
        return {name: _try(hsm, work) for name, work in _attacks(hsm, root, blob, loaded, foreign).items()}
    finally:
        loaded.destroy()
        foreign.destroy()


def demand(results: dict[str, str]) -> None:
    """CustodyBroken unless every attack was refused."""
    broken = sorted(name for name, result in results.items() if result != SAFE)
    if broken:
        raise CustodyBroken(
            f"a key in this HSM can be taken out: {', '.join(broken)}. Refusing to serve; see docs/threat-model.md."
        )


def _attacks(hsm: Hsm, root: Any, blob: bytes, loaded: Any, foreign: Any) -> dict[str, Callable[[], Any]]:
    def relax(attribute: Attribute, value: bool) -> Callable[[], Any]:
        def work() -> Any:
            loaded[attribute] = value
            return loaded[attribute] if loaded[attribute] == value else None

        return work

    def unwrapped(template: dict[Attribute, Any], *, ec: bool) -> Callable[[], Any]:
        return lambda: hsm.unwrap(root, blob, template, ec=ec)

    return {
        "read_value": lambda: loaded[Attribute.VALUE],
        "wrap_by_own_root": lambda: hsm.wrap(root, loaded),
        "wrap_by_foreign_key": lambda: hsm.wrap(foreign, loaded),
        "set_extractable": relax(Attribute.EXTRACTABLE, True),
        "set_not_sensitive": relax(Attribute.SENSITIVE, False),
        "copy_extractable": lambda: loaded.copy({Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False}),
        "decrypt_blob": lambda: root.decrypt(blob[:64], mechanism=Mechanism.AES_ECB),
        "unwrap_extractable": unwrapped({**SIGNING_KEY, Attribute.EXTRACTABLE: True}, ec=True),
        "unwrap_not_sensitive": unwrapped({**SIGNING_KEY, Attribute.SENSITIVE: False}, ec=True),
        "unwrap_as_aes": unwrapped(
            {**_UNSET, **_LOCKED_IN, Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}, ec=False
        ),
        "unwrap_as_generic_secret": lambda: root.unwrap_key(
            ObjectClass.SECRET_KEY,
            KeyType.GENERIC_SECRET,
            blob,
            mechanism=hsm.wrap_mechanism,
            store=False,
            template={**_UNSET, **_LOCKED_IN, Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True},
        ),
    }


def _try(hsm: Hsm, work: Callable[[], Any]) -> str:
    # AttributeError: python-pkcs11 hides methods (decrypt) that the key's own attributes forbid
    try:
        loot = work()
    except (PKCS11Error, AttributeError):
        return SAFE
    if loot is None:
        return SAFE
    if hasattr(loot, "destroy"):
        loot.destroy()
    return "worked"
