"""`python -m signer.read_epoch`: the epochs in the token, before anything can be signed; a short-lived child.

Takes on standard input where the token is (`pkcs11_module`, `pkcs11_token`, `pkcs11_pin_file`, `lock_file`), and
prints a JSON object of epochs by instance id.
"""

import json
import sys
from pathlib import Path

from signer import epoch_token
from signer.config import SignerConfig
from signer.hsm import HsmFault, PinRefused, WrongToken, open_session
from signer.lifeline import REFUSED

MAX_REQUEST_BYTES = 16_384


def main() -> int:
    """0 with the object; one line when the token cannot be asked, with REFUSED for a PIN, else 1."""
    where = json.loads(sys.stdin.read(MAX_REQUEST_BYTES))
    config = SignerConfig(
        pkcs11_module=where["pkcs11_module"],
        pkcs11_token=where["pkcs11_token"],
        pkcs11_pin_file=Path(where["pkcs11_pin_file"]),
        lock_file=Path(where["lock_file"]),
        database_url="",
        allowed_uids=(),
    )
    try:
        _, session = open_session(config)
        found = epoch_token.read(session)
    except PinRefused as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    except WrongToken as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except (HsmFault, OSError) as error:
        sys.stderr.write(f"the token cannot be asked ({type(error).__name__})\n")
        return 1
    sys.stdout.write(json.dumps({str(instance_id): epoch for instance_id, epoch in found.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
