"""What clients rely on, a row each, by what the row is about; `tests/flows/test_clients.py` tries them all."""

from tests.flows.clients import answers, credentials, things
from tests.flows.clients.rows import ROWS, Client

__all__ = ["ROWS", "Client", "answers", "credentials", "things"]
