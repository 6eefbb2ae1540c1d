"""How often the verifier asks the signer for its public keys, and what it does when the signer is away."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.client import JwtKey, SignerClient
from signer.errors import SignerUnavailable
from signer.token_order import LONGEST_S, TokenOrder, claims_of
from vault.auth import tokens
from vault.auth.tokens import TokenVerifier
from vault.errors import Problem


@dataclass
class Keys:
    """Answers as the signer's client does, and counts."""

    keys: dict[str, Ed25519PrivateKey] = field(default_factory=dict)
    asked: int = 0
    away: bool = False
    # it answers at once, with what there was when it was asked, or when this is set
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    retired_at: datetime | None = None

    def __post_init__(self) -> None:
        self.answers.set()

    async def jwt_keys(self) -> list[JwtKey]:
        self.asked += 1
        if self.away:
            raise SignerUnavailable("away")
        found = [
            JwtKey(kid, key.public_key().public_bytes_raw(), datetime.now(UTC), self.retired_at)
            for kid, key in self.keys.items()
        ]
        await self.answers.wait()
        return found

    def token(self, kid: str, ttl_s: int = 60, **changes: Any) -> str:
        self.keys.setdefault(kid, Ed25519PrivateKey.generate())
        order = TokenOrder(kind="user", subject=uuid4(), org_id=uuid4(), lifetime_s=ttl_s, version=1)
        claims = claims_of(order, int(time.time()), uuid4()) | changes
        return jwt.encode(claims, self.keys[kid], algorithm="EdDSA", headers={"kid": kid})


def verifier_of(keys: Keys) -> TokenVerifier:
    return TokenVerifier(cast(SignerClient, keys))


async def test_keys_are_fetched_once_and_a_new_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys()
    verifier = verifier_of(keys)
    for _ in range(3):
        await verifier.verify(keys.token("one"))
    assert keys.asked == 1
    monkeypatch.setattr(tokens, "MIN_REFRESH_INTERVAL_S", 0.0)
    await verifier.verify(keys.token("two"))
    assert keys.asked == 2


async def test_a_key_made_right_after_a_renewal_counts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys()
    verifier = verifier_of(keys)
    await verifier.verify(keys.token("one"))
    monkeypatch.setattr(tokens, "REFRESH_AFTER_S", 0.0)
    await verifier.verify(keys.token("one"))  # renews now, as the rotation's own request does
    monkeypatch.setattr(tokens, "REFRESH_AFTER_S", 3600.0)
    assert await verifier.verify(keys.token("two"))


async def status_of(verifier: TokenVerifier, token: str, *, may_wait: bool = True) -> int:
    try:
        await verifier.verify(token, may_wait=may_wait)
    except Problem as refused:
        return refused.status
    except SignerUnavailable:
        return 503
    return 200


async def asked(keys: Keys, times: int) -> None:
    """Until the signer was asked so often."""
    for _ in range(6_000):
        if keys.asked >= times:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the signer was not asked")


async def test_tokens_of_a_new_key_that_come_while_a_slow_signer_is_asked_count() -> None:
    keys = Keys()
    verifier = verifier_of(keys)
    await verifier.verify(keys.token("one"))
    new = keys.token("two")
    keys.answers.clear()
    first = asyncio.create_task(status_of(verifier, new))
    await asked(keys, 2)
    others = [asyncio.create_task(status_of(verifier, new)) for _ in range(11)]
    # what is known does not wait with them
    assert await status_of(verifier, keys.token("one")) == 200
    keys.answers.set()
    assert [await first, *await asyncio.gather(*others)] == [200] * 12
    assert keys.asked <= 3


async def test_a_key_made_while_the_signer_was_answering_is_asked_for_once_more() -> None:
    keys = Keys()
    verifier = verifier_of(keys)
    await verifier.verify(keys.token("one"))
    keys.answers.clear()
    made_up = asyncio.create_task(status_of(verifier, Keys().token("made-up")))
    await asked(keys, 2)
    # the signer has read its keys: what it is about to say does not name this one
    new = asyncio.create_task(status_of(verifier, keys.token("two")))
    await asyncio.sleep(0)
    keys.answers.set()
    assert (await made_up, await new) == (401, 200)


async def test_made_up_key_ids_neither_flood_the_signer_nor_keep_others_out() -> None:
    keys = Keys()
    verifier = verifier_of(keys)
    await verifier.verify(keys.token("one"))
    stranger = Keys()
    began_at = time.monotonic()
    flood = [asyncio.create_task(status_of(verifier, stranger.token(f"made-up-{n}"))) for n in range(50)]
    await asked(keys, 2)
    # somebody was faster: the token of a new key waits, too
    assert await status_of(verifier, keys.token("two")) == 200
    assert await status_of(verifier, keys.token("one")) == 200
    assert await asyncio.gather(*flood) == [401] * 50
    assert keys.asked <= 2 + (time.monotonic() - began_at) / tokens.MIN_REFRESH_INTERVAL_S
    # what was no key's needs no second look
    before, again = keys.asked, [status_of(verifier, stranger.token(f"made-up-{n}")) for n in range(50)]
    assert await asyncio.gather(*again) == [401] * 50
    assert keys.asked == before


async def test_how_many_wait_is_bounded_and_who_may_not_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MAX_WAITING", 3)
    keys = Keys()
    verifier = verifier_of(keys)
    # before there is any key, everybody waits
    assert await asyncio.gather(*(status_of(verifier, keys.token("one")) for _ in range(10))) == [200] * 10
    keys.answers.clear()
    waiting = [asyncio.create_task(status_of(verifier, Keys().token(f"made-up-{n}"))) for n in range(3)]
    await asked(keys, 2)
    with pytest.raises(Problem) as refused:
        await verifier.verify(keys.token("two"))
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "1")
    waiting.pop().cancel()
    await asyncio.sleep(0)
    assert await status_of(verifier, keys.token("two"), may_wait=False) == 503
    last = asyncio.create_task(status_of(verifier, keys.token("two")))
    keys.answers.set()
    assert await last == 200
    assert await asyncio.gather(*waiting) == [401, 401]


async def test_who_goes_away_while_the_signer_is_asked_leaves_the_others_their_turn() -> None:
    keys = Keys()
    verifier = verifier_of(keys)
    await verifier.verify(keys.token("one"))
    new = keys.token("two")
    keys.answers.clear()
    first = asyncio.create_task(verifier.verify(new))
    await asked(keys, 2)
    second = asyncio.create_task(status_of(verifier, new))
    await asyncio.sleep(0)
    first.cancel()
    keys.answers.set()
    assert await second == 200


async def test_a_token_that_could_not_be_looked_at_is_not_called_wrong() -> None:
    keys = Keys()
    verifier = verifier_of(keys)
    await verifier.verify(keys.token("one"))
    keys.away = True
    new = keys.token("two")
    assert await status_of(verifier, new) == 503
    keys.away = False
    assert await status_of(verifier, new) == 200


@pytest.mark.parametrize("kid", ["\ud800", "", "x" * 10_000])
async def test_odd_key_ids_are_unknown_ones(kid: str) -> None:
    keys = Keys()
    verifier = verifier_of(keys)
    await verifier.verify(keys.token("one"))
    assert await status_of(verifier, Keys().token(kid)) == 401


async def test_while_the_signer_is_away_known_keys_go_on_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys()
    verifier = verifier_of(keys)
    token = keys.token("one")
    await verifier.verify(token)
    monkeypatch.setattr(tokens, "REFRESH_AFTER_S", 0.0)
    monkeypatch.setattr(tokens, "MIN_REFRESH_INTERVAL_S", 0.0)
    keys.away = True
    await verifier.verify(token)
    assert keys.asked == 2


async def test_a_key_that_was_withdrawn_does_not_count_after_the_next_renewal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = Keys()
    verifier = verifier_of(keys)
    token = keys.token("one")
    await verifier.verify(token)
    keys.keys.clear()
    monkeypatch.setattr(tokens, "REFRESH_AFTER_S", 0.0)
    monkeypatch.setattr(tokens, "MIN_REFRESH_INTERVAL_S", 0.0)
    with pytest.raises(Problem):
        await verifier.verify(token)


@pytest.mark.parametrize(
    ("issued_in_s", "lives_s", "counts"),
    [
        (0, LONGEST_S, True),
        (0, LONGEST_S + 1, False),
        (0, 30 * 365 * 86_400, False),
        (-86_400, LONGEST_S, False),
        (tokens.CLOCK_SKEW_S - 30, 60, True),
        (tokens.CLOCK_SKEW_S + 60, 60, False),
        (30 * 365 * 86_400, 60, False),
        (60, -30, False),
        (0, float("nan"), False),
        (0, float("inf"), False),
    ],
)
async def test_no_token_lives_longer_than_ours_do(issued_in_s: int, lives_s: float, counts: bool) -> None:
    keys, issued_at = Keys(), int(time.time()) + issued_in_s
    token = keys.token("one", iat=issued_at, exp=issued_at + lives_s)
    verifier = verifier_of(keys)
    if counts:
        assert (await verifier.verify(token)).kind == "user"
    else:
        with pytest.raises(Problem) as refused:
            await verifier.verify(token)
        assert refused.value.status == 401


async def test_times_that_are_no_numbers_do_not_count() -> None:
    keys = Keys()
    for changes in ({"iat": "0"}, {"exp": str(int(time.time()) + 60)}, {"iat": None}, {"iat": [1]}, {"exp": {}}):
        with pytest.raises(Problem) as refused:
            await verifier_of(keys).verify(keys.token("one", **changes))
        assert refused.value.status == 401, changes


async def test_a_retired_key_ends_with_the_longest_token_though_the_signer_is_away() -> None:
    keys = Keys(retired_at=datetime.now(UTC) - timedelta(seconds=LONGEST_S - 3))
    verifier, token = verifier_of(keys), keys.token("one", ttl_s=3600)
    assert await verifier.verify(token)
    keys.away = True
    assert keys.retired_at is not None
    left = keys.retired_at + timedelta(seconds=LONGEST_S) - datetime.now(UTC)
    await asyncio.sleep(max(left.total_seconds(), 0) + 0.01)  # what is awaited is the clock itself
    # its signature is remembered as good, and so is the key
    with pytest.raises(Problem) as refused:
        await verifier.verify(token)
    assert refused.value.status == 401


async def test_without_any_key_the_signer_is_to_blame_and_not_the_token() -> None:
    keys = Keys(away=True)
    with pytest.raises(SignerUnavailable):
        await verifier_of(keys).verify(keys.token("one"))


async def test_a_token_that_was_good_before_still_expires() -> None:
    keys = Keys()
    verifier = verifier_of(keys)
    token = keys.token("one", ttl_s=3)
    claims = await verifier.verify(token)
    delay = (claims.expires_at - datetime.now(UTC)).total_seconds()
    await asyncio.sleep(max(delay, 0) + 0.01)  # what is awaited is the clock itself
    with pytest.raises(Problem):
        await verifier.verify(token)


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MAX_REMEMBERED", 3)
    keys = Keys()
    verifier = verifier_of(keys)
    for _ in range(10):
        await verifier.verify(keys.token("one"))
        assert len(verifier._checked) <= 3
