import time
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from signer.client import JwtKey, SignerClient
from signer.errors import ProtocolError, RotatedJustNow, TokenTooLarge
from signer.token_order import LONGEST_LIFETIME_S, TokenOrder
from tests.support.hsm import Hsm
from tests.support.tokens import some_order
from vault.auth.tokens import MAX_TOKEN_CHARS


def verified(token: str, keys: list[JwtKey]) -> dict[str, Any]:
    header = jwt.get_unverified_header(token)
    assert header == {"alg": "EdDSA", "typ": "JWT", "kid": header["kid"]}
    public_key = next(key.public_key for key in keys if key.kid == header["kid"])
    checked: dict[str, Any] = jwt.decode(
        token, Ed25519PublicKey.from_public_bytes(public_key), algorithms=["EdDSA"], issuer="talon"
    )
    return checked


async def test_pyjwt_accepts_a_token_and_the_signer_sets_its_times(signer: SignerClient) -> None:
    order, before = some_order(), int(time.time())
    issued = await signer.issue_token(order)
    assert "=" not in issued.token
    claims = verified(issued.token, await signer.jwt_keys())
    assert before <= claims.pop("iat") <= time.time()
    assert before + 60 <= claims.pop("exp") <= time.time() + 60
    assert UUID(claims.pop("jti")) == UUID(issued.token_id)
    assert claims == {
        "iss": "talon",
        "sub": f"agent:{order.subject}",
        "org": str(order.org_id),
        "scopes": ["keys/*", "Zoë ☂"],
        "vault_ids": [str(order.vault_ids[0])],
        "intents_api_enabled": True,
        "ver": 3,
    }


async def test_a_persons_token_can_end_with_a_key(signer: SignerClient) -> None:
    key_id = uuid4()
    order = TokenOrder("user", uuid4(), uuid4(), LONGEST_LIFETIME_S["user"], 1, key_id=key_id)
    claims = verified((await signer.issue_token(order)).token, await signer.jwt_keys())
    assert claims["key"] == str(key_id)
    assert claims["exp"] - claims["iat"] == 86_400


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "admin"},
        {"kind": ""},
        {"lifetime_s": LONGEST_LIFETIME_S["agent"] + 1},
        {"lifetime_s": 30 * 365 * 86_400},
        {"lifetime_s": 0},
        {"lifetime_s": -1},
        {"lifetime_s": 60.5},
        {"lifetime_s": True},
        {"version": 2**31},
        {"key_id": uuid4()},
        {"intents_api_enabled": 1},
    ],
)
async def test_what_no_token_is_made_for(signer: SignerClient, change: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        await signer.issue_token(some_order(**change))


async def test_a_token_is_never_longer_than_verifiers_take(signer: SignerClient) -> None:
    fits = await signer.issue_token(some_order(scopes=(), vault_ids=tuple(uuid4() for _ in range(300))))
    assert len(fits.token) <= MAX_TOKEN_CHARS
    longest = await signer.issue_token(some_order(scopes=("x" * 11_500,), vault_ids=()))
    assert MAX_TOKEN_CHARS - 1_000 < len(longest.token) <= MAX_TOKEN_CHARS
    for more in ({"vault_ids": tuple(uuid4() for _ in range(350))}, {"scopes": ("x" * 12_000,)}):
        with pytest.raises(TokenTooLarge):
            await signer.issue_token(some_order(**more))


async def test_nobody_hands_over_claims(signer: SignerClient) -> None:
    with pytest.raises(ProtocolError, match="unknown operation"):
        await signer._ask("sign_jwt", {"claims": {"sub": f"user:{uuid4()}", "exp": 2**40}})
    # what else comes with an order is not looked at
    order = {"kind": "user", "subject": str(uuid4()), "org_id": str(uuid4()), "lifetime_s": 60, "version": 1}
    more = {"scopes": [], "vault_ids": [], "intents_api_enabled": False, "exp": 2**40, "claims": {"exp": 2**40}}
    answer = await signer._ask("issue_token", order | more)
    claims = verified(answer["token"], await signer.jwt_keys())
    assert claims["exp"] - claims["iat"] == 60
    assert "claims" not in claims


async def test_pyjwt_refuses_a_changed_token(signer: SignerClient) -> None:
    token, keys = (await signer.issue_token(some_order())).token, await signer.jwt_keys()
    head, body, signature = token.split(".")
    other = (await signer.issue_token(some_order())).token.split(".")[1]
    for forged in (f"{head}.{other}.{signature}", f"{head}.{body}.{signature[:-4]}AAAA"):
        with pytest.raises(jwt.InvalidSignatureError):
            verified(forged, keys)


async def test_a_rotated_key_signs_from_then_on_and_old_tokens_still_verify(hsm: Hsm) -> None:
    first = await hsm.start()
    client = hsm.client()
    old = (await client.issue_token(some_order())).token
    kid = await client.rotate_jwt_key()
    new, keys = (await client.issue_token(some_order())).token, await client.jwt_keys()
    assert jwt.get_unverified_header(new)["kid"] == kid != jwt.get_unverified_header(old)["kid"]
    assert keys[0].kid == kid
    assert keys[0].counts_until is None
    assert keys[1].retired_at is not None
    assert keys[1].counts_until is not None
    assert (keys[1].counts_until - keys[1].retired_at).total_seconds() == max(LONGEST_LIFETIME_S.values())
    assert verified(old, keys)
    assert verified(new, keys)
    # rotations fill the token, so they are not for whoever wants one all the time
    with pytest.raises(RotatedJustNow):
        await client.rotate_jwt_key()
    # the next process goes on with the new key
    hsm.kill(first)
    await hsm.start()
    assert jwt.get_unverified_header((await client.issue_token(some_order())).token)["kid"] == kid
    # and one that may have been copied takes all others with it
    last = await client.rotate_jwt_key(at_once=True)
    assert [key.kid for key in await client.jwt_keys()] == [last]
    await client.close()
