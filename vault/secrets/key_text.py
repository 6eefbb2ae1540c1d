"""Read a private key as people have it: 64 hex digits, and what files, shells and editors leave around them. Pure."""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final

# SEC 2, section 2.4.1: the order n of secp256k1; a private key is a number from 1 to n-1
SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

READ_AS: Final = "the only 64 hex digits in the value; what stands around them was left out"

_PLAIN = re.compile(r"(?:0[xX])?([0-9a-fA-F]*)", re.ASCII)
# never cut out of a longer run: that would be another key, or none
_RUN = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{64}(?![0-9a-fA-F])", re.ASCII)
# standing for itself, not a part of some longer word
_WORD = re.compile(r"(?<!\w)(?:0[xX])?([0-9a-fA-F]{64})(?!\w)")
_NAME = re.compile(r"(?:export\s+|set\s+|const\s+|let\s+|var\s+)?[\"']?[A-Za-z_][\w.\-]*[\"']?\s*[=:]\s*(?=\S)")
_COMMENT = re.compile(r"\s(?:#|//).*$", re.MULTILINE)
_BETWEEN = re.compile(r"[\s:_\-]+")
_AROUND: Final = " \t\r\n\"'`()[]{}<>;,"
# shorter ones behind a name are hardly ever meant as keys
_SHORTEST_NAMED: Final = 32
# a text of megabytes is no key that somebody pasted, and would take the process a second
_LONGEST_READ_CLOSELY: Final = 65_536

# a key of one of these forms or curves is not what the digits in it seem to say
_KEYSTORE = re.compile(r"ciphertext|kdfparams|\"kdf\"|cipherparams", re.IGNORECASE)
_OTHER = re.compile(
    r"-----BEGIN|ed25519|x25519|sr25519|ed448|secp256r1|prime256v1|\bp-?256\b|secp384r1|\bbls", re.IGNORECASE
)


@dataclass(frozen=True)
class KeyText:
    """The 32 bytes of a secp256k1 private key; `read_as` says in words what was passed over (None: white space)."""

    key: bytes = field(repr=False)
    read_as: str | None


class NotOneKey(ValueError):  # noqa: N818 - reads as what it says
    """What looks like a private key but is none, or not one; the words are for people and repeat nothing of it."""


def read_key(value: str) -> KeyText | None:
    """The key that a value is meant to be; None for another kind of secret (PEM, mnemonic words, base64).

    Raises NotOneKey for hex that is no key, and where it cannot be told which digits are meant. No exception of
    this module carries key material.
    """
    plain = _PLAIN.fullmatch(value.strip())
    if plain is not None:
        return KeyText(_checked(plain[1]), None)
    text, runs = value, _RUN.findall(value)
    if not value.isascii() and len(value) <= _LONGEST_READ_CLOSELY:
        # a byte order mark, zero-width spaces and their like are seen by nobody
        text = "".join(char for char in value if unicodedata.category(char) != "Cf")
        runs = _RUN.findall(text)
        if len(_RUN.findall(unicodedata.normalize("NFKC", text))) != len(runs):
            raise NotOneKey("the hex digits are not written in plain 0-9 and a-f; write them so")
    if not runs:
        _refuse_broken(text)
        return None
    if _KEYSTORE.search(text):
        raise NotOneKey("this is an encrypted keystore, not a key; decrypt it first and store the key itself")
    if len(runs) > 1:
        raise NotOneKey("there are 64 hex digits in more than one place; store each key as a secret of its own")
    if _OTHER.search(text):
        raise NotOneKey("64 hex digits are in it, but it speaks of another kind of key; store the key by itself")
    word = _WORD.search(text)
    if word is None:
        raise NotOneKey("64 hex digits are in it, but as part of a longer word; store the key by itself")
    return KeyText(_checked(word[1]), READ_AS)


def _checked(digits: str) -> bytes:
    if len(digits) != 64 or not 0 < int(digits, 16) < SECP256K1_ORDER:
        raise NotOneKey(
            "is no private key: 64 hex digits are expected (0x optional), above 0 and below the order of secp256k1"
        )
    return bytes.fromhex(digits)


def _refuse_broken(text: str) -> None:
    """Raise NotOneKey for hex of a wrong length behind a name or in quotes, and for digits with gaps between them."""
    core = _COMMENT.sub("", text).strip(_AROUND)
    named = _NAME.match(core)
    if named is not None:
        core = core[named.end() :].strip(_AROUND)
    plain = _PLAIN.fullmatch(core)
    if plain is not None and len(plain[1]) >= _SHORTEST_NAMED:
        _checked(plain[1])
    closed = _PLAIN.fullmatch(_BETWEEN.sub("", core))
    if closed is not None and len(closed[1]) == 64:
        raise NotOneKey("there are 64 hex digits with gaps between them; write them without")
