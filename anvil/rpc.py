"""One JSON-RPC call to the local chain, blocking; for set-up and tests, never on a request path."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from anvil.errors import AnvilError

TIMEOUT_S = 10.0


def call(url: str, method: str, *parameters: Any, timeout_s: float = TIMEOUT_S) -> Any:
    """The result; AnvilError on an error answer, OSError when nobody listens."""
    address = urlsplit(url)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
    connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=timeout_s)
    try:
        connection.request("POST", address.path or "/", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if "error" in answer:
        raise AnvilError(f"{method}: {answer['error'].get('message')}")
    return answer["result"]
