"""A tenant for the tests of agents."""

from tests.support.vault_api import tenant

__all__ = ["tenant"]
