"""One JSON-RPC answer to one call: the result, or what the node refuses."""

from typing import Any

from chains.endpoint import Endpoint
from chains.refusals import refusal_in

Request = dict[str, Any]


def result_of(endpoint: Endpoint, request_id: int, answer: Any) -> Any:
    """The result in a JSON-RPC answer, or its RpcRefused as a value; TransportFailed for what is neither."""
    if not isinstance(answer, dict):
        raise endpoint.failed("left a call unanswered", delivered=True)
    refused = refusal_in(answer)
    if refused is not None:
        return endpoint.hide(refused)
    if answer.get("id") != request_id or "result" not in answer:
        raise endpoint.failed("answered something else than was asked", delivered=True)
    return answer["result"]
