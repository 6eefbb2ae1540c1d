"""The two PKCS#11 calls that python-pkcs11 cannot make for us, through ctypes (PKCS#11 v2.40).

A wrapping key without CKA_UNWRAP_TEMPLATE (section 4.8.3) unwraps anybody's blob as a readable, extractable key;
python-pkcs11 cannot pack that attribute. And it hides a key's `decrypt` where the key's own attributes forbid it, so
an attack that asks whether the token enforces them has to go below it. Same thread, same login.
"""

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

CKR_OK: Final = 0
CKF_RW_SESSION, CKF_SERIAL_SESSION = 0x2, 0x4
CKM_AES_KEY_GEN, CKM_AES_ECB = 0x1080, 0x1081
AES_BLOCK_BYTES: Final = 16
CKA_UNWRAP_TEMPLATE: Final = 0x40000212

CLASS, TOKEN, PRIVATE, LABEL = 0x0, 0x1, 0x2, 0x3
KEY_TYPE, SENSITIVE, ENCRYPT, DECRYPT = 0x100, 0x103, 0x104, 0x105
WRAP, UNWRAP, SIGN, VERIFY, DERIVE = 0x106, 0x107, 0x108, 0x10A, 0x10C
VALUE_LEN, EXTRACTABLE, MODIFIABLE, COPYABLE = 0x161, 0x162, 0x170, 0x171
SECRET_KEY_CLASS, PRIVATE_KEY_CLASS = 4, 3
AES_KEY_TYPE, EC_KEY_TYPE = 0x1F, 0x3

Value = bool | int | bytes


class _Attribute(ctypes.Structure):
    _fields_ = (("type", ctypes.c_ulong), ("value", ctypes.c_void_p), ("length", ctypes.c_ulong))


class _Mechanism(ctypes.Structure):
    _fields_ = (("type", ctypes.c_ulong), ("parameter", ctypes.c_void_p), ("length", ctypes.c_ulong))


class WrappingKeyError(Exception):
    """The module refused to make the key; says which call and its return value."""


def create_wrapping_key(module: str, slot_id: int, label: str, unwraps: Mapping[int, Value] | None) -> None:
    """Generate a private AES-256 token object that can only wrap and unwrap, and unwraps only what `unwraps` allows.

    The caller is logged in already. `unwraps` None leaves the template out: for tests of the self-attack only.
    """
    library = ctypes.CDLL(module)
    keep: list[object] = []  # memory the module reads during the call
    wanted: dict[int, Value] = {
        CLASS: SECRET_KEY_CLASS,
        KEY_TYPE: AES_KEY_TYPE,
        VALUE_LEN: 32,
        TOKEN: True,
        PRIVATE: True,
        LABEL: label.encode(),
        SENSITIVE: True,
        EXTRACTABLE: False,
        MODIFIABLE: False,
        # a copy may be made to decrypt; and a copy cut short by a crash would be a second root of that name
        COPYABLE: False,
        WRAP: True,
        UNWRAP: True,
        # a key that wraps and decrypts lets the PIN's holder read what it wrapped
        ENCRYPT: False,
        DECRYPT: False,
        SIGN: False,
        VERIFY: False,
        DERIVE: False,
    }
    template = [_attribute(kind, value, keep) for kind, value in wanted.items()]
    if unwraps is not None:
        inner = (_Attribute * len(unwraps))(*(_attribute(kind, value, keep) for kind, value in unwraps.items()))
        keep.append(inner)
        template.append(_Attribute(CKA_UNWRAP_TEMPLATE, ctypes.cast(inner, ctypes.c_void_p), ctypes.sizeof(inner)))
    attributes, key = (_Attribute * len(template))(*template), ctypes.c_ulong()
    mechanism = _Mechanism(CKM_AES_KEY_GEN, None, 0)
    with _session(library, slot_id) as session:
        made = library.C_GenerateKey(
            session, ctypes.byref(mechanism), attributes, ctypes.c_ulong(len(template)), ctypes.byref(key)
        )
        _check("C_GenerateKey", made)


def decrypt_block(module: str, slot_id: int, key_handle: int, block: bytes) -> bytes | None:
    """AES-ECB over one 16-byte block under a key that should not be able to; None when the token refuses."""
    library = ctypes.CDLL(module)
    mechanism = _Mechanism(CKM_AES_ECB, None, 0)
    out, length = ctypes.create_string_buffer(AES_BLOCK_BYTES), ctypes.c_ulong(AES_BLOCK_BYTES)
    with _session(library, slot_id) as session:
        if library.C_DecryptInit(session, ctypes.byref(mechanism), ctypes.c_ulong(key_handle)) != CKR_OK:
            return None
        done = library.C_Decrypt(session, block, ctypes.c_ulong(len(block)), out, ctypes.byref(length))
        return out.raw[: length.value] if done == CKR_OK else None


@contextmanager
def _session(library: ctypes.CDLL, slot_id: int) -> Iterator[ctypes.c_ulong]:
    session = ctypes.c_ulong()
    flags = ctypes.c_ulong(CKF_RW_SESSION | CKF_SERIAL_SESSION)
    opened = library.C_OpenSession(ctypes.c_ulong(slot_id), flags, None, None, ctypes.byref(session))
    _check("C_OpenSession", opened)
    try:
        yield session
    finally:
        library.C_CloseSession(session)


def _attribute(kind: int, value: Value, keep: list[object]) -> _Attribute:
    if isinstance(value, bool):
        data = bytes([value])
    elif isinstance(value, int):
        data = value.to_bytes(ctypes.sizeof(ctypes.c_ulong), "little")
    else:
        data = value
    buffer = ctypes.create_string_buffer(data, len(data))
    keep.append(buffer)
    return _Attribute(kind, ctypes.cast(buffer, ctypes.c_void_p), len(data))


def _check(call: str, result: int) -> None:
    if result != CKR_OK:
        raise WrappingKeyError(f"{call} answered 0x{result:x}")
