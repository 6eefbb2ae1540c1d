"""What a back-up says of itself [pure]: the first part of the file, read before anything is put anywhere."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from talon.backup.errors import BackupError

FORMAT = 1
MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Manifest:
    """`revision` is the schema's, `epoch` how far the instance had come when the database was read.

    `tables` maps `schema.table` to its columns in the order of the data, `sequences` each `schema.sequence` to its
    last value and whether that was given out. `absent` names what lies elsewhere and has back-ups of its own.
    """

    talon: str
    instance_id: str
    revision: str
    epoch: int
    made_at: str
    tables: dict[str, list[str]]
    sequences: dict[str, tuple[int, bool]]
    has_token: bool
    has_chain: bool
    absent: list[str]
    format: int = FORMAT

    def text(self) -> bytes:
        """As it is written."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def read(cls, raw: bytes) -> Self:
        """The inverse; BackupError for one of a newer form, or none at all."""
        try:
            found: dict[str, Any] = json.loads(raw)
            if found["format"] > FORMAT:
                raise BackupError(
                    f"this back-up was made by Talon {found['talon']}, in a form that is newer than this program:"
                    " restore it with that version or a later one"
                )
            tables = {str(name): [str(each) for each in columns] for name, columns in found["tables"].items()}
            sequences = {str(name): (int(last), bool(used)) for name, (last, used) in found["sequences"].items()}
            return cls(**{**found, "tables": tables, "sequences": sequences})
        except (ValueError, TypeError, KeyError, AttributeError):
            raise BackupError("this is no back-up of Talon's: its first part cannot be read") from None


def require_known(manifest: Manifest, revisions: frozenset[str], version: str) -> None:
    """BackupError unless this program knows the revision of its database."""
    if manifest.revision not in revisions:
        raise BackupError(
            f"this back-up was made by the newer Talon {manifest.talon} (database revision {manifest.revision});"
            f" this is {version}: restore it with that version or a later one"
        )


def require_same_parts(manifest: Manifest, *, token_is_external: bool) -> None:
    """BackupError where the settings look for the token elsewhere than the back-up has it."""
    if manifest.has_token and token_is_external:
        raise BackupError(
            "this back-up brings its token along, but TALON_PKCS11_MODULE names another HSM, without the keys of this"
            " database: unset TALON_PKCS11_MODULE, TALON_PKCS11_TOKEN and TALON_PKCS11_PIN_FILE"
        )
    if not manifest.has_token and not token_is_external:
        raise BackupError(
            "this back-up is without its token, which was in an HSM of its own: set TALON_PKCS11_MODULE,"
            " TALON_PKCS11_TOKEN and TALON_PKCS11_PIN_FILE as they were for the instance"
        )
