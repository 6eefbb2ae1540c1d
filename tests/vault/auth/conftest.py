"""Fixtures of the tests of vault.auth."""

from collections.abc import Iterator

import pytest

from tests.support.issuer import Issuer, running_issuer
from tests.support.vault_api import tenant

__all__ = ["tenant"]


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An OpenID Connect issuer on loopback."""
    with running_issuer() as running:
        yield running
