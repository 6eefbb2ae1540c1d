"""Wire forms of chains. Endpoints are shown without what may be a credential."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from chains.errors import BadAmount
from chains.units import format_ether, parse_ether
from vault.networks.repository import Row
from vault.networks.urls import HTTP, WEBSOCKET, fault_of, shown
from vault.schemas import ExactModel, NullIsDefault, Reply, Timestamp

# a chain somebody adds: one unit of native coin per transaction is far above any sane fee, yet a ceiling
DEFAULT_MAX_GAS_COST_ETH = "1"
DEFAULT_CONFIRMATIONS = 12
MAX_CHAIN_ID = 2**63 - 1

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)


def _http_url(url: str) -> str:
    return _checked(url, HTTP)


def _websocket_url(url: str) -> str:
    return _checked(url, WEBSOCKET)


def _checked(url: str, schemes: tuple[str, ...]) -> str:
    fault = fault_of(url, schemes)
    if fault is not None:
        raise ValueError(fault)
    return url


def _ether(amount: str) -> str:
    try:
        parse_ether(amount)
    except BadAmount as error:
        raise ValueError(str(error)) from None
    return amount


HttpUrl = Annotated[str, AfterValidator(_http_url)]
WebsocketUrl = Annotated[str, AfterValidator(_websocket_url)]
EtherAmount = Annotated[str, AfterValidator(_ether)]
Label = Annotated[str, Field(min_length=1, max_length=64)]
Confirmations = Annotated[int, Field(ge=1, le=10_000)]
MaxTxGas = Annotated[int, Field(ge=21_000, le=2**63 - 1)]


class CreateChainRequest(ExactModel):
    """A chain to register; the last three fields are Talon's own (native coin as decimal text, blocks, gas)."""

    name: str
    display_name: Label
    chain_id: Annotated[int, Field(ge=1, le=MAX_CHAIN_ID)]
    rpc_url: HttpUrl | None = None
    ws_url: WebsocketUrl | None = None
    explorer_url: HttpUrl | None = None
    native_currency: Annotated[Label, NullIsDefault] = "ETH"
    is_testnet: Annotated[bool, NullIsDefault] = False
    is_enabled: Annotated[bool, NullIsDefault] = True
    max_gas_cost_eth: Annotated[EtherAmount, NullIsDefault] = DEFAULT_MAX_GAS_COST_ETH
    confirmations: Annotated[Confirmations, NullIsDefault] = DEFAULT_CONFIRMATIONS
    max_tx_gas: MaxTxGas | None = None

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("lower-case letters, digits and dashes, beginning with a letter, at most 63 characters")
        return name

    def columns(self) -> dict[str, Any]:
        """The row to insert."""
        values = self.model_dump()
        values["max_gas_cost_wei"] = parse_ether(values.pop("max_gas_cost_eth"))
        return values


class UpdateChainRequest(ExactModel):
    """What may change; a key that is left out keeps its value, null clears an address or the bound on gas."""

    display_name: Label | None = None
    rpc_url: HttpUrl | None = None
    ws_url: WebsocketUrl | None = None
    explorer_url: HttpUrl | None = None
    native_currency: Label | None = None
    is_testnet: bool | None = None
    is_enabled: bool | None = None
    max_gas_cost_eth: EtherAmount | None = None
    confirmations: Confirmations | None = None
    max_tx_gas: MaxTxGas | None = None

    def changes(self) -> dict[str, Any]:
        """The columns to change; null counts only where a column may be empty."""
        nullable = {"rpc_url", "ws_url", "explorer_url", "max_tx_gas"}
        values = {
            name: value
            for name, value in self.model_dump(exclude_unset=True).items()
            if value is not None or name in nullable
        }
        if "max_gas_cost_eth" in values:
            values["max_gas_cost_wei"] = parse_ether(values.pop("max_gas_cost_eth"))
        return values


class ChainResponse(Reply):
    """A chain as everybody sees it."""

    id: str
    name: str
    display_name: str
    chain_id: int
    rpc_url: str | None
    ws_url: str | None
    explorer_url: str | None
    native_currency: str
    is_testnet: bool
    is_enabled: bool
    created_at: Timestamp
    updated_at: Timestamp


class AdminChainResponse(ChainResponse):
    """A chain as the platform admin sees it; Talon's own settings only with `?include=limits`."""

    max_gas_cost_eth: str | None = None
    confirmations: int | None = None
    max_tx_gas: int | None = None


class ChainListResponse(Reply):
    """A page of chains by chain id."""

    chains: list[ChainResponse]


class AdminChainListResponse(Reply):
    """The same for the platform admin, disabled ones included."""

    chains: list[AdminChainResponse]


def public_chain(row: Row) -> ChainResponse:
    """A row for everybody."""
    return ChainResponse(**_fields(row))


def admin_chain(row: Row, *, with_limits: bool) -> AdminChainResponse:
    """A row for the platform admin; strict clients of the contract do not know the limits."""
    if not with_limits:
        return AdminChainResponse(**_fields(row))
    return AdminChainResponse(
        **_fields(row),
        max_gas_cost_eth=format_ether(row["max_gas_cost_wei"]),
        confirmations=row["confirmations"],
        max_tx_gas=row["max_tx_gas"],
    )


def _fields(row: Row) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "name": row["name"],
        "display_name": row["display_name"],
        "chain_id": row["chain_id"],
        "rpc_url": shown(row["rpc_url"]),
        "ws_url": shown(row["ws_url"]),
        "explorer_url": shown(row["explorer_url"]),
        "native_currency": row["native_currency"],
        "is_testnet": row["is_testnet"],
        "is_enabled": row["is_enabled"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }
