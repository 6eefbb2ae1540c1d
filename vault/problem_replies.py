"""Bodies of refusals as the published document has them (RFC 9457), beside `vault.errors`, which makes them."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from vault.schemas import Reply


class ProblemDetails(Reply):
    """RFC 9457: what went wrong, in words for people; `type` is `about:blank` where no program need tell it apart."""

    type: str
    title: str
    status: int
    detail: str
    fields: dict[str, str] | None = None


class ConfirmationRequired(ProblemDetails):
    """Signing keys would get out of reach, or to an agent's wallet: repeat it with `?confirm=` and what is named.

    `addresses` are the first 100 of `address_count`, the one that `?confirm=` may name first.
    """

    type: Literal["confirmation_required"]
    addresses: Annotated[list[str], Field(max_length=100)]
    address_count: int


def or_problem(model: type[ProblemDetails], description: str) -> dict[str, Any]:
    """An answer for a route's `responses` whose body may be that model's or any other problem's."""
    return {"model": model | ProblemDetails, "description": description}


TO_BE_CONFIRMED: Final[dict[int | str, dict[str, Any]]] = {
    409: or_problem(ConfirmationRequired, "It clashes with what is there, or is to be confirmed; see `confirm`")
}
