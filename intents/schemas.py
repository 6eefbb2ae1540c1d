"""Request bodies of the Intents API and their way to a draft: strict, because each field changes what is signed."""

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BeforeValidator, Field, WithJsonSchema
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.addresses import parse_address
from chains.errors import ChainsError
from chains.fees import FeeRequest
from chains.hexdata import parse_data
from chains.units import parse_ether, parse_wei
from intents.draft import Draft
from vault.errors import Problem, bad_request
from vault.networks.service import resolve_chain
from vault.schemas import ExactModel

# go-ethereum's pool takes no transaction above 128 KiB; what else a transaction holds fits in the rest
MAX_DATA_BYTES: Final = 120 * 1024
MAX_BUNDLE: Final = 16
# PostgreSQL's bigint; EIP-2681 bounds nonces at 2**64 - 2, which no account will reach
MAX_INTEGER: Final = 2**63 - 1

T = TypeVar("T")
R = TypeVar("R")

Integer = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Amount = Annotated[str, Field(max_length=100)]


def _name_of_id(value: Any) -> Any:
    # some clients send the numeric id; true is not the number 1
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


ChainName = Annotated[
    str,
    BeforeValidator(_name_of_id),
    Field(min_length=1, max_length=100),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 100}, {"type": "integer", "minimum": 0}]}
    ),
]


class TransactionRequest(ExactModel):
    """What an agent may say about a transaction, the same for submit, sign and simulate.

    `value` is decimal ether, fees are wei, both as text. `gas_price` alone makes it a legacy transaction; where
    `max_fee_per_gas` is given too, that counts. An unknown field is refused: ignoring one could sign
    something else than was meant.
    """

    to: Annotated[str, Field(max_length=100)]
    value: Amount
    chain: ChainName
    data: str | None = None
    signing_key_path: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    nonce: Integer | None = None
    gas_limit: Annotated[int, Field(ge=21_000, le=MAX_INTEGER)] | None = None
    gas_price: Amount | None = None
    max_fee_per_gas: Amount | None = None
    max_priority_fee_per_gas: Amount | None = None
    simulate_first: bool = False
    # of later contract versions: accepted where they say what is the case anyway
    mode: Literal["eoa"] = "eoa"
    gasless: Literal[False] = False


class BundleRequest(ExactModel):
    """Transactions to simulate one after the other, each on the state the one before left."""

    transactions: Annotated[list[TransactionRequest], Field(min_length=1, max_length=MAX_BUNDLE)]


async def draft_of(connection: AsyncConnection, request: TransactionRequest) -> Draft:
    """The request as a canonical draft; 400 that names the field for anything that is not exactly right."""
    chain = await resolve_chain(connection, request.chain)
    return Draft(
        chain=chain,
        to=_parse("to", parse_address, request.to),
        value_wei=_parse("value", parse_ether, request.value),
        data=_parse("data", lambda text: parse_data(text, MAX_DATA_BYTES), request.data),
        signing_key_path=request.signing_key_path or f"keys/{chain.name}-signer",
        nonce=request.nonce,
        gas_limit=request.gas_limit,
        fees=_fees(request),
        simulate_first=request.simulate_first,
    )


def _fees(request: TransactionRequest) -> FeeRequest:
    named = {
        name: None if text is None else _parse(name, parse_wei, text)
        for name, text in (
            ("gas_price", request.gas_price),
            ("max_fee_per_gas", request.max_fee_per_gas),
            ("max_priority_fee_per_gas", request.max_priority_fee_per_gas),
        )
    }
    cap, tip = named["max_fee_per_gas"], named["max_priority_fee_per_gas"]
    if cap is not None and tip is not None and tip > cap:
        raise bad_request(f"max_priority_fee_per_gas ({tip} wei) is above max_fee_per_gas ({cap} wei).")
    return FeeRequest(**named)


def _parse(name: str, parse: Callable[[T], R], text: T) -> R:
    try:
        return parse(text)
    except ChainsError as error:
        raise Problem(400, f"{name}: {error}", extra={"fields": {name: str(error)}}) from None
