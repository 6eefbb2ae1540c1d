"""What the database says of wallets' nonces: what the signer signed, how far it is accounted for, who is stopped.

The signer's own list is what counts (`signer.signed_nonces`): it is durable before a signature leaves, so whatever a
chain can hold of ours is in it, also where our own transaction was rolled back. Read it after the chain was asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA
from sqlalchemy.ext.asyncio import AsyncConnection

# Every key that an account has; one that was ever brought from outside may be used outside.
_IS_BORN: Final = """
    COALESCE((SELECT bool_and(k.origin = 'generated') FROM signer.keys k WHERE k.address = {address}), false)
"""
# The first nonce from `low` on that was never signed here, whatever chain lay under the id at the time: what was
# signed for a chain before its reset may be valid on the one that is there now.
_UNSIGNED: Final = """
    CASE WHEN NOT EXISTS (
        SELECT FROM signer.signed_nonces s
        WHERE s.address = {address} AND s.chain_id = :signed_chain_id AND s.nonce = {low}
    ) THEN {low} ELSE (
        SELECT min(s.nonce) + 1 FROM signer.signed_nonces s
        WHERE s.address = {address} AND s.chain_id = :signed_chain_id AND s.nonce >= {low}
          AND NOT EXISTS (SELECT FROM signer.signed_nonces n
                          WHERE n.address = s.address AND n.chain_id = s.chain_id AND n.nonce = s.nonce + 1)
    ) END
"""
_READ = text(f"""
    SELECT a.address, w.address IS NOT NULL AS known, w.accounted_to, w.stopped_at, w.stopped_why, w.compared_epoch,
           {_IS_BORN.format(address="a.address")} AS is_born,
           {_UNSIGNED.format(address="a.address", low="COALESCE(w.accounted_to, 0)")} AS unsigned,
           (SELECT start_epoch FROM instance) AS start_epoch,
           (SELECT epoch FROM chains_compared) AS all_compared
    FROM unnest(:addresses) AS a (address)
    LEFT JOIN wallets w ON w.chain_id = :chain_id AND w.address = a.address
""").bindparams(bindparam("addresses", type_=ARRAY(BYTEA)))  # noqa: S608 - put together from constants of this file

_STARTED = text("SELECT start_epoch, (SELECT epoch FROM chains_compared) AS all_compared FROM instance")
_ALL_COMPARED = text("""
    INSERT INTO chains_compared (epoch) VALUES (:epoch)
    ON CONFLICT (is_only) DO UPDATE SET epoch = excluded.epoch
""")
# a stopped one waits for its human, whatever its chain says
_WAITING = text("""
    SELECT chain_id, address FROM (
        SELECT w.chain_id, w.address, row_number() OVER (PARTITION BY w.chain_id ORDER BY w.address) AS place
        FROM wallets w
        WHERE w.compared_epoch IS DISTINCT FROM (SELECT start_epoch FROM instance) AND w.stopped_at IS NULL
    ) waiting WHERE place <= :most ORDER BY chain_id, address
""")
_NEVER_USED = text(f"""
    SELECT v.address FROM secret_versions v
    WHERE v.address IS NOT NULL AND v.key_id IS NOT NULL AND {_IS_BORN.format(address="v.address")}
      AND NOT EXISTS (SELECT FROM wallets w WHERE w.chain_id = :chain_id AND w.address = v.address)
    GROUP BY v.address ORDER BY max(v.created_at) DESC LIMIT :most
""")  # noqa: S608 - put together from constants of this file
_PAGE = text("""
    SELECT address FROM wallets WHERE chain_id = :chain_id AND address > :after ORDER BY address LIMIT :most
""")
_CHAINS = text("SELECT DISTINCT chain_id FROM wallets")

_WITHIN = text("""
    INSERT INTO wallets AS w (chain_id, address, next_nonce, accounted_to, compared_epoch)
    VALUES (:chain_id, :address, 0, :accounted_to, :epoch)
    ON CONFLICT (chain_id, address) DO UPDATE
    SET accounted_to = GREATEST(w.accounted_to, excluded.accounted_to), compared_epoch = excluded.compared_epoch
""")
_ACCOUNT_FOR = text("""
    INSERT INTO wallets AS w (chain_id, address, next_nonce, accounted_to) VALUES (:chain_id, :address, 0, :to)
    ON CONFLICT (chain_id, address) DO UPDATE SET accounted_to = GREATEST(w.accounted_to, excluded.accounted_to)
""")
_DRIFTED = text("""
    UPDATE wallets SET accounted_to = GREATEST(accounted_to, :accounted_to), drifted_at = clock_timestamp(),
           compared_epoch = :epoch
    WHERE chain_id = :chain_id AND address = :address
""")
_STOP = text("""
    INSERT INTO wallets AS w (chain_id, address, next_nonce, compared_epoch, stopped_at, stopped_why)
    VALUES (:chain_id, :address, 0, :epoch, clock_timestamp(), :why)
    ON CONFLICT (chain_id, address) DO UPDATE
    SET stopped_at = clock_timestamp(), stopped_why = excluded.stopped_why, compared_epoch = excluded.compared_epoch
    WHERE w.stopped_at IS NULL
""")
_OPEN = text(f"""
    UPDATE wallets SET stopped_at = NULL, stopped_why = NULL,
           accounted_to = GREATEST(accounted_to, :accounted_to),
           compared_epoch = (SELECT start_epoch FROM instance)
    WHERE chain_id = :chain_id AND address = :address
      AND (:also_born OR NOT {_IS_BORN.format(address="wallets.address")})
""")  # noqa: S608 - put together from constants of this file


@dataclass(frozen=True)
class Account:
    """A wallet on one chain as it is compared; `is_known` says that it has a row, so that it signed, or was to.

    `accounted_to`: nonces below are ours or were used before it came to us; None before its first comparison.
    `unsigned`: the first nonce from there on that we did not sign.
    """

    address: bytes
    is_known: bool
    is_born: bool
    accounted_to: int | None
    unsigned: int
    stopped_at: datetime | None
    stopped_why: str | None
    is_compared: bool


@dataclass(frozen=True)
class Start:
    """The last start, by its epoch, and whether all chains were asked once since."""

    epoch: int
    is_compared: bool


async def read(
    connection: AsyncConnection, chain_id: int, addresses: Sequence[bytes]
) -> tuple[Start, dict[bytes, Account]]:
    """The wallets of these addresses on one chain, known or not, at this moment."""
    named = {"chain_id": chain_id, "signed_chain_id": chain_id, "addresses": list(addresses)}
    rows = list(await connection.execute(_READ, named))
    found = {
        bytes(row.address): Account(
            bytes(row.address),
            row.known,
            row.is_born,
            row.accounted_to,
            int(row.unsigned),
            row.stopped_at,
            row.stopped_why,
            row.compared_epoch is not None and row.compared_epoch == row.start_epoch,
        )
        for row in rows
    }
    return _start(rows[0]), found


async def started(connection: AsyncConnection) -> Start:
    """The last start."""
    return _start((await connection.execute(_STARTED)).one())


async def all_compared(connection: AsyncConnection, epoch: int) -> None:
    """Write down that all chains were asked once since the start of this epoch."""
    await connection.execute(_ALL_COMPARED, {"epoch": epoch})


async def waiting(connection: AsyncConnection, most: int) -> dict[int, list[bytes]]:
    """Wallets whose chain was not asked since the start, by chain; at most `most` of each."""
    found: dict[int, list[bytes]] = {}
    for row in await connection.execute(_WAITING, {"most": most}):
        found.setdefault(row.chain_id, []).append(bytes(row.address))
    return found


async def never_used(connection: AsyncConnection, chain_id: int, most: int) -> list[bytes]:
    """Accounts of keys born here that this database knows no use of on the chain, the newest keys first."""
    named = {"chain_id": chain_id, "most": most}
    return [bytes(each) for each in (await connection.execute(_NEVER_USED, named)).scalars()]


async def chains_in_use(connection: AsyncConnection) -> list[int]:
    """Ids of chains on which there is a wallet."""
    return list((await connection.execute(_CHAINS)).scalars())


async def page(connection: AsyncConnection, chain_id: int, after: bytes, most: int) -> list[bytes]:
    """The next wallets of a chain behind `after`, by address."""
    named = {"chain_id": chain_id, "after": after, "most": most}
    return [bytes(each) for each in (await connection.execute(_PAGE, named)).scalars()]


async def is_within(
    connection: AsyncConnection, chain_id: int, address: bytes, accounted_to: int, epoch: int
) -> None:
    """Nothing speaks against this wallet at this start; all nonces below `accounted_to` are accounted for."""
    named = {"chain_id": chain_id, "address": address, "accounted_to": accounted_to, "epoch": epoch}
    await connection.execute(_WITHIN, named)


async def account_for(connection: AsyncConnection, chain_id: int, address: bytes, to: int) -> None:
    """All nonces below `to` are accounted for, whether the wallet may sign or not."""
    await connection.execute(_ACCOUNT_FOR, {"chain_id": chain_id, "address": address, "to": to})


async def has_drifted(
    connection: AsyncConnection, chain_id: int, address: bytes, accounted_to: int, epoch: int
) -> None:
    """The key of this wallet was used elsewhere, which is ordinary for it."""
    named = {"chain_id": chain_id, "address": address, "accounted_to": accounted_to, "epoch": epoch}
    await connection.execute(_DRIFTED, named)


async def stop(connection: AsyncConnection, chain_id: int, address: bytes, why: str, epoch: int) -> bool:
    """Let this wallet sign no more until a human opens it; False where it was stopped already."""
    named = {"chain_id": chain_id, "address": address, "why": why, "epoch": epoch}
    return (await connection.execute(_STOP, named)).rowcount == 1


async def lift(
    connection: AsyncConnection, chain_id: int, address: bytes, accounted_to: int, *, also_born: bool
) -> None:
    """On a human's word what the chain counts by now is accounted for, and the wallet may sign again."""
    named = {"chain_id": chain_id, "address": address, "accounted_to": accounted_to, "also_born": also_born}
    await connection.execute(_OPEN, named)


def _start(row: object) -> Start:
    epoch: int = row.start_epoch  # type: ignore[attr-defined]
    return Start(epoch, row.all_compared is not None and row.all_compared == epoch)  # type: ignore[attr-defined]
