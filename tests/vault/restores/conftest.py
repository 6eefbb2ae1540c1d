"""What the tests of restored copies share."""

import vault.restores.models  # noqa: F401 - importing is what makes the tables
from tests.support.vault_api import tenant

__all__ = ["tenant"]
