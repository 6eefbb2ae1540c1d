"""The organisation that these tests act in, and the platform administrator's."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from tests.support.factories import make_user
from tests.support.vault_api import Tenant, tenant

__all__ = ["admin", "tenant"]


@pytest.fixture
async def admin(app: FastAPI) -> AsyncIterator[Tenant]:
    """An organisation whose owner administers the platform."""
    made = await Tenant.found(app)
    made.owner = await make_user(made.database, made.owner.org_id, is_platform_admin=True)
    yield made
    await made.close()
