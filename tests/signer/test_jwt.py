import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from signer.client import JwtKey, SignerClient
from signer.errors import ProtocolError, SignerUnavailable
from tests.support.hsm import Hsm


def claims() -> dict[str, Any]:
    now = int(time.time())
    return {"iss": "talon", "sub": "user:1", "iat": now, "exp": now + 60, "name": "Zoë ☂", "list": [1, None, True]}


def verified(token: str, keys: list[JwtKey]) -> dict[str, Any]:
    header = jwt.get_unverified_header(token)
    assert header == {"alg": "EdDSA", "typ": "JWT", "kid": header["kid"]}
    public_key = next(key.public_key for key in keys if key.kid == header["kid"])
    checked: dict[str, Any] = jwt.decode(
        token, Ed25519PublicKey.from_public_bytes(public_key), algorithms=["EdDSA"], issuer="talon"
    )
    return checked


async def test_pyjwt_accepts_a_token_and_reads_its_claims(signer: SignerClient) -> None:
    wanted = claims()
    token = await signer.sign_jwt(wanted)
    assert "=" not in token
    assert verified(token, await signer.jwt_keys()) == wanted


async def test_pyjwt_refuses_a_changed_token(signer: SignerClient) -> None:
    token, keys = await signer.sign_jwt(claims()), await signer.jwt_keys()
    head, body, signature = token.split(".")
    other = (await signer.sign_jwt({**claims(), "sub": "user:2"})).split(".")[1]
    for forged in (f"{head}.{other}.{signature}", f"{head}.{body}.{signature[:-4]}AAAA"):
        with pytest.raises(jwt.InvalidSignatureError):
            verified(forged, keys)


async def test_a_rotated_key_signs_from_then_on_and_old_tokens_still_verify(hsm: Hsm) -> None:
    first = await hsm.start()
    client = hsm.client()
    old = await client.sign_jwt(claims())
    kid = await client.rotate_jwt_key()
    new, keys = await client.sign_jwt(claims()), await client.jwt_keys()
    assert jwt.get_unverified_header(new)["kid"] == kid != jwt.get_unverified_header(old)["kid"]
    assert [key.retired for key in keys] == [False, True]
    assert keys[0].kid == kid
    assert verified(old, keys)
    assert verified(new, keys)
    # rotations fill the token, so they are not for whoever wants one all the time
    with pytest.raises(SignerUnavailable):
        await client.rotate_jwt_key()
    # the next process goes on with the new key
    hsm.kill(first)
    await hsm.start()
    assert jwt.get_unverified_header(await client.sign_jwt(claims()))["kid"] == kid
    await client.close()


async def test_claims_that_are_too_large_are_refused(signer: SignerClient) -> None:
    with pytest.raises(ProtocolError, match="too large"):
        await signer.sign_jwt({"sub": "x" * 20_000})
