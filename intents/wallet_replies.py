"""What the wallet routes take and answer."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from vault.schemas import ExactModel, Reply, Timestamp


class ResyncRequest(ExactModel):
    """A human's word on spend that counts for what was signed and cannot be mined; without it nothing is freed.

    `free_signed_above`: what was signed more than 10,000 nonces above the chain's count. `free_reset_chain`: what was
    signed for a chain that was reset since; those bytes may still be valid on the chain that is there now.
    """

    free_signed_above: bool = False
    free_reset_chain: bool = False


class OpenRequest(ExactModel):
    """A human's word that what the chain counts is accounted for: the highest count that an endpoint names."""

    mined: int = Field(ge=0, lt=2**63)


class CountsReply(Reply):
    """An endpoint's word on the account; both are missing when it does not answer."""

    mined: int | None = None
    pending: int | None = None


class OpenReply(Reply):
    """A nonce that a transaction of ours has; ids only of the own organisation's."""

    nonce: int
    status: Literal["signed", "broadcast", "mined"]
    given_up: bool
    transaction_id: UUID | None = None
    agent_id: UUID | None = None


class WalletReply(Reply):
    """The nonces of one account on one chain.

    `next_nonce` is the next one here. `mined` and `pending` are what the endpoints say as far as it is believed.
    `gap` counts the nonces below `next_nonce` that neither the chain nor a transaction of ours has used. `open` are
    the lowest of our transactions that are not final, `signed_above` how many of them wait above such a gap.
    """

    chain: str
    chain_id: int
    address: str
    next_nonce: int
    mined: int | None = None
    pending: int | None = None
    endpoints: list[CountsReply]
    open_count: int
    open: list[OpenReply]
    gap: int | None = None
    signed_above: int | None = None
    resynced_at: Timestamp | None = None
    stopped_at: Timestamp | None = Field(default=None, description="since when it signs nothing, until it is opened")
    stopped_why: str | None = None


class ResyncReply(WalletReply):
    """The wallet as it is now, and what was done: amounts in wei as text."""

    was_next_nonce: int
    given_up: int = Field(description="transactions above the chain's count that are not sent any more")
    freed: int = Field(description="signatures of the own organisation's agents whose spend was freed")
    freed_wei: str
    more_to_free: bool = Field(description="whether agents are left whose spend the same request frees when repeated")
