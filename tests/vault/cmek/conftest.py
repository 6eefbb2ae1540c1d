"""The organisation that these tests act in."""

from tests.support.vault_api import tenant

__all__ = ["tenant"]
