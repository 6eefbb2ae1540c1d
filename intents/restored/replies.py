"""What the routes about a restored copy take and answer. Amounts in wei as text."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from vault.problem_replies import ProblemDetails
from vault.schemas import ExactModel, Identifier, Reply, Timestamp

MAX_ENTERED = 200


class EnteredAmount(ExactModel):
    """What the nonces of a listed range came to, by a human's own knowledge; `nonce` is the first of them."""

    chain: Annotated[str, Field(max_length=64)]
    wallet: Annotated[str, Field(max_length=64)]
    nonce: int = Field(ge=0, lt=2**63)
    value_wei: Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,76})$")]


class CountRequest(ExactModel):
    """Amounts of nonces whose transactions were not found; without any, only what was found is counted."""

    transactions: list[EnteredAmount] = Field(default_factory=list, max_length=MAX_ENTERED)


class MeantRequest(ExactModel):
    """The agent that may pay once more, and the transaction on chain that this is equal to."""

    agent_id: Identifier
    tx_hash: Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{64}$")]


class RestoredTransaction(ProblemDetails):
    """409: equal to a transaction that the chain holds and this copy lost; a human says whether one more is meant."""

    type: Literal["restored_transaction"]
    tx_hash: str


class ChainReply(Reply):
    """A chain that is asked; `asked_at` is missing until an endpoint of it has answered."""

    chain: str
    chain_id: int
    asked_at: Timestamp | None = None


class UnknownTransaction(Reply):
    """A transaction on chain that this copy does not have, its signature proven to be the wallet's.

    Without `tx_hash` it stands for the nonces from `nonce` to `last_nonce` (missing: nobody says how far), of which
    no transaction was found. `agents` may use the wallet; the value counts for each of them.
    """

    chain: str
    chain_id: int
    wallet: str
    nonce: int
    last_nonce: int | None = None
    tx_hash: str | None = None
    to: str | None = None
    value_wei: str | None = None
    value: str | None = Field(default=None, description="the same in whole native coins")
    data_selector: str | None = Field(default=None, description="the first four bytes of the data")
    data_length: int | None = None
    block_number: int | None = None
    block_at: Timestamp | None = None
    agents: list[UUID]
    entered_at: Timestamp | None = Field(default=None, description="when a human entered the amount")


class RestoreReply(Reply):
    """Whether this instance is a copy that nobody has opened yet, how far that is, and what it does not know.

    `wallets_listed` of `wallets` are gone through. `transactions` is one page of `transaction_count`.
    """

    frozen: bool
    found_at: Timestamp | None = None
    found_by: Literal["restore", "epoch", "chain"] | None = None
    why: str | None = None
    listed_at: Timestamp | None = None
    counted_at: Timestamp | None = None
    credentials_ended_at: Timestamp | None = None
    opened_at: Timestamp | None = None
    opened_by: UUID | None = None
    chains: list[ChainReply]
    wallets: int
    wallets_listed: int
    transactions: list[UnknownTransaction]
    transaction_count: int


class CountReply(RestoreReply):
    """The same after counting; `counted` amounts were taken into agents' windows by this, or changed there."""

    counted: int
