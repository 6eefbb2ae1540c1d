"""Create a PKCS#11 token: C_InitToken, then C_InitPIN. Run as a child with a JSON request on standard input.

Plain ctypes, because python-pkcs11 belongs to the signer alone. Sections of PKCS#11 v2.40: 5.5 (slots and
tokens), 5.6 (sessions).
"""

import ctypes
import json
import sys
from typing import Any

CKF_RW_SESSION = 0x2
CKF_SERIAL_SESSION = 0x4
CKU_SO = 0
LABEL_BYTES = 32
MAX_SLOTS = 64


def main() -> None:
    """Initialise the first slot's token; exits non-zero naming the call that failed, never a PIN."""
    request = json.loads(sys.stdin.read(4096))
    library = ctypes.CDLL(request["module"])
    so_pin, pin = request["so_pin"].encode(), request["pin"].encode()

    def call(name: str, *arguments: Any) -> None:
        result = getattr(library, name)(*arguments)
        if result != 0:
            sys.exit(f"{name} answered 0x{result:x}")

    ulong = ctypes.c_ulong
    call("C_Initialize", None)
    count = ulong(MAX_SLOTS)
    slots = (ulong * MAX_SLOTS)()
    call("C_GetSlotList", ctypes.c_ubyte(0), slots, ctypes.byref(count))
    slot = ulong(slots[count.value - 1])
    call("C_InitToken", slot, so_pin, ulong(len(so_pin)), request["label"].encode().ljust(LABEL_BYTES))
    session = ulong()
    call("C_OpenSession", slot, ulong(CKF_RW_SESSION | CKF_SERIAL_SESSION), None, None, ctypes.byref(session))
    call("C_Login", session, ulong(CKU_SO), so_pin, ulong(len(so_pin)))
    call("C_InitPIN", session, pin, ulong(len(pin)))
    call("C_Finalize", None)


if __name__ == "__main__":
    main()
