"""What the tests of freezing share."""

from tests.support.vault_api import tenant

__all__ = ["tenant"]
