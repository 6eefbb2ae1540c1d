"""`python -m tests.signer.weak_token CONFIG WEAKNESS`: put a badly made root into a token before any signer sees it.

A process of its own, because the module must not be loaded into the one that runs the tests.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from pkcs11 import KeyType

from signer import cryptoki as ck
from signer.config import SignerConfig
from signer.hsm import KEY_ROOT, ONLY_SIGNING_KEYS, ONLY_VAULT_KEYS, VAULT_ROOT, Hsm


def without(template: dict[int, ck.Value], *kinds: int) -> dict[int, ck.Value]:
    return {kind: value for kind, value in template.items() if kind not in kinds}


def make(hsm: Hsm, label: str, template: dict[int, ck.Value] | None) -> None:
    ck.create_wrapping_key(hsm.module, hsm.slot_id, label, template)


def twice(hsm: Hsm) -> None:
    for _ in range(2):
        make(hsm, KEY_ROOT, ONLY_SIGNING_KEYS)


def default(hsm: Hsm, label: str) -> None:
    # what anybody gets who asks a PKCS#11 library for "an AES key to wrap with"
    hsm.session.generate_key(KeyType.AES, 256, store=True, label=label)


WEAKNESSES: dict[str, Callable[[Hsm], None]] = {
    "no template": lambda hsm: make(hsm, KEY_ROOT, None),
    "sensitive left open": lambda hsm: make(hsm, KEY_ROOT, without(ONLY_SIGNING_KEYS, ck.SENSITIVE)),
    "extractable left open": lambda hsm: make(hsm, KEY_ROOT, without(ONLY_SIGNING_KEYS, ck.EXTRACTABLE)),
    "class left open": lambda hsm: make(hsm, KEY_ROOT, without(ONLY_SIGNING_KEYS, ck.CLASS, ck.KEY_TYPE)),
    "default root": lambda hsm: default(hsm, KEY_ROOT),
    "vault root without template": lambda hsm: make(hsm, VAULT_ROOT, None),
    "vault keys may decrypt": lambda hsm: make(hsm, VAULT_ROOT, without(ONLY_VAULT_KEYS, ck.DECRYPT)),
    "default vault root": lambda hsm: default(hsm, VAULT_ROOT),
    "two roots": twice,
    "none": lambda hsm: None,
}

if __name__ == "__main__":
    WEAKNESSES[sys.argv[2]](Hsm(SignerConfig.read(Path(sys.argv[1]))))
