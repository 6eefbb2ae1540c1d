"""Fixtures of the tests of vault.auth."""

from tests.support.vault_api import tenant

__all__ = ["tenant"]
