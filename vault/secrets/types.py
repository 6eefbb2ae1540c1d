"""The types a secret may have. Pure."""

from typing import Final

GENERIC: Final = "generic"
PRIVATE_KEY: Final = "private_key"
SSH_KEY: Final = "ssh_key"

TYPES: Final = frozenset(
    {
        "api_key",
        "password",
        PRIVATE_KEY,
        "certificate",
        "file",
        "note",
        SSH_KEY,
        "env_bundle",
        GENERIC,
        "env",
    }
)

# an agent that may sign by intent must not take the key along
CLOSED_TO_INTENTS: Final = frozenset({PRIVATE_KEY, SSH_KEY})
