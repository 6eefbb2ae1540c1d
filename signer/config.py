"""What a signer process is told at its start, as a 0600 JSON file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson


@dataclass(frozen=True)
class SignerConfig:
    """`socket_fd` is an inherited listening socket (several signers may share one), else `socket_path` is bound.

    `allowed_uids` may talk to this process. `wrap_mechanism` is the PKCS#11 number of AES key wrap with padding:
    0x210A on SoftHSM, 0x210B (KWP) on most hardware. `epoch_file` is the copy of the epoch outside the home, where
    there is one. Timeouts in seconds.
    """

    pkcs11_module: str
    pkcs11_token: str
    pkcs11_pin_file: Path
    lock_file: Path
    database_url: str = field(repr=False)
    allowed_uids: tuple[int, ...]
    socket_path: str | None = None
    socket_fd: int | None = None
    wrap_mechanism: int = 0x210A
    key_cache: int = 10_000
    epoch_file: Path | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Parse the file; ValueError or TypeError when it is not one."""
        raw: dict[str, Any] = orjson.loads(path.read_bytes())
        return cls(
            **{
                **raw,
                "pkcs11_pin_file": Path(raw["pkcs11_pin_file"]),
                "lock_file": Path(raw["lock_file"]),
                "epoch_file": Path(raw["epoch_file"]) if raw.get("epoch_file") else None,
                "allowed_uids": tuple(raw["allowed_uids"]),
            }
        )
