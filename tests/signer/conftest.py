"""A real database, a real token and a real signer process, shared by the tests that do no harm to them.

The PKCS#11 module is never loaded in this process: what has to touch the token directly runs in a child.
"""

from collections.abc import AsyncIterator, Iterator

import pytest

from signer.client import SignerClient
from tests.support.hsm import Hsm, temporary_hsm
from tests.support.postgres import Postgres, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def shared_hsm(postgres: Postgres) -> Iterator[Hsm]:
    with temporary_hsm(postgres.create("signer_shared")) as hsm:
        yield hsm


@pytest.fixture(scope="session")
async def signer(shared_hsm: Hsm) -> AsyncIterator[SignerClient]:
    await shared_hsm.start()
    client = shared_hsm.client()
    yield client
    await client.close()


@pytest.fixture
def hsm(postgres: Postgres) -> Iterator[Hsm]:
    """A token and a database of the test's own, with no signer yet."""
    with temporary_hsm(postgres.create("signer_own")) as own:
        yield own
