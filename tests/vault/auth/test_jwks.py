"""Tokens of other issuers: which count, and how their keys are fetched and kept."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.issuer import Issuer, running_issuer
from vault.auth import jwks
from vault.auth.jwks import Jwks
from vault.errors import Problem


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


async def check(checker: Jwks, issuer: Issuer, token: str, audiences: tuple[str, ...] = ("talon",)) -> dict[str, Any]:
    return await checker.verify(token, jwks_url=issuer.jwks_url, issuers=(issuer.url,), audiences=audiences)


async def status_of(checker: Jwks, issuer: Issuer, token: str, audiences: tuple[str, ...] = ("talon",)) -> int:
    with pytest.raises(Problem) as refused:
        await check(checker, issuer, token, audiences)
    assert not [part for part in token.split(".") if len(part) > 8 and part in refused.value.detail]
    return refused.value.status


def forged(header: dict[str, Any], claims: dict[str, Any], signature: str = "") -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in (header, claims)]
    return ".".join([*parts, signature])


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_each_kind_of_key_counts_with_its_own_algorithm(issuer: Issuer, algorithm: str) -> None:
    issuer.add_key("other", algorithm)
    claims = await check(Jwks(), issuer, issuer.token("other", sub="x", aud=["a", "talon"]))
    assert (claims["sub"], claims["iss"]) == ("x", issuer.url)


async def test_tokens_that_do_not_count(issuer: Issuer) -> None:
    checker, now = Jwks(), int(time.time())
    assert await check(checker, issuer, issuer.token())
    wrong: dict[str, str] = {
        "expired": issuer.token(exp=now - 31),
        "not yet": issuer.token(nbf=now + 60),
        "of tomorrow": issuer.token(iat=now + 60),
        "no exp": issuer.token(exp=None),
        "no iat": issuer.token(iat=None),
        "no iss": issuer.token(iss=None),
        "no aud": issuer.token(aud=None),
        "other aud": issuer.token(aud="talonx"),
        "other iss": issuer.token(iss=issuer.url + "/"),
        "iss not text": issuer.token(iss=None, headers={"iss": 5}),
        "crit": issuer.token(headers={"crit": ["x"], "x": 1}),
        "tampered": issuer.token()[:-8] + "AAAAAAAA",
        "empty": "",
        "not a token": "a.b.c",
        "too long": "a" * 20_000,
        "exp beyond time": issuer.token(exp=10**400),
        "exp beyond the calendar": issuer.token(exp=10**12),
        "not ASCII": "é.é.é",
    }
    claims = {"iss": issuer.url, "aud": "talon", "iat": now, "exp": now + 60}
    wrong["none"] = forged({"alg": "none", "kid": "main"}, claims)
    wrong["no alg"] = forged({"kid": "main"}, claims)
    wrong["deep"] = forged({"alg": "RS256", "kid": "main"}, claims).replace(".", ".W1tb", 1)
    for name, token in wrong.items():
        assert await status_of(checker, issuer, token) == 401, name
    assert await status_of(checker, issuer, issuer.token(), audiences=()) == 401
    assert await check(checker, issuer, issuer.token(exp=now - 20))  # within the leeway
    assert (await check(checker, issuer, issuer.token(exp=str(now + 60))))["exp"] == now + 60


async def test_a_key_never_counts_with_an_algorithm_of_another_kind(issuer: Issuer) -> None:
    checker = Jwks()
    public = issuer.private["main"][1].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = {"iss": issuer.url, "aud": "talon", "iat": int(time.time()), "exp": int(time.time()) + 60}
    # the public key as an HMAC secret; pyjwt itself would refuse to make such a token
    header = forged({"alg": "HS256", "kid": "main"}, claims).rstrip(".")
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = base64.urlsafe_b64encode(algorithm.sign(header.encode(), pem)).decode().rstrip("=")
    assert await status_of(checker, issuer, f"{header}.{signature}") == 401
    # a shared secret that the issuer publishes counts for nothing
    secret = base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")
    issuer.keys = [{"kty": "oct", "k": secret, "kid": "main", "alg": "HS256"}]
    token = jwt.encode(claims, b"k" * 32, algorithm="HS256", headers={"kid": "main"})
    assert await status_of(Jwks(), issuer, token) == 401


async def test_keys_for_other_uses_weak_and_broken_ones_are_passed_over(issuer: Issuer) -> None:
    issuer.add_key("weak", "RS256", rsa.generate_private_key(public_exponent=65537, key_size=1024))  # noqa: S505 - meant to be weak
    issuer.add_key("curve", "ES256")
    private = ec.generate_private_key(ec.SECP384R1())
    issuer.private["curve"] = ("ES384", private)
    issuer.keys[-1] = {
        **jwt.algorithms.ECAlgorithm.to_jwk(private.public_key(), as_dict=True),
        "kid": "curve",
    }
    issuer.add_key("enc", "RS256")
    issuer.keys[-1]["use"] = "enc"
    issuer.add_key("ops", "RS256")
    issuer.keys[-1]["key_ops"] = ["encrypt"]
    issuer.add_key("pinned", "RS256")
    issuer.keys[-1]["alg"] = "PS256"
    issuer.keys += [{"kty": "RSA", "n": "!", "e": 5, "kid": "broken"}, {"kid": "empty"}, 5]  # type: ignore[list-item]
    checker = Jwks()
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        weak = issuer.token("weak")
    assert await status_of(checker, issuer, weak) == 401
    for kid in ("curve", "enc", "ops", "pinned"):
        assert await status_of(checker, issuer, issuer.token(kid)) == 401, kid
    assert await check(checker, issuer, issuer.token())


async def test_a_token_without_a_key_id_needs_an_issuer_with_one_key(issuer: Issuer) -> None:
    algorithm, key = issuer.private["main"]
    now = int(time.time())
    claims = {"iss": issuer.url, "aud": "talon", "iat": now, "exp": now + 60}
    token = jwt.encode(claims, key, algorithm=algorithm)
    assert await check(Jwks(), issuer, token)
    issuer.add_key("second", "RS256")
    assert await status_of(Jwks(), issuer, token) == 401


async def test_keys_are_fetched_once_and_a_new_one_is_found(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    checker = Jwks()
    issuer.delay_s = 0.1
    await asyncio.gather(*(check(checker, issuer, issuer.token()) for _ in range(20)))
    assert issuer.asked["/keys"] == 1
    issuer.delay_s = 0.0
    issuer.add_key("new", "EdDSA")
    # made-up ids do not make us ask
    assert await status_of(checker, issuer, issuer.token("new")) == 401
    assert issuer.asked["/keys"] == 1
    monkeypatch.setattr(jwks, "REFETCH_INTERVAL_S", 0.2)
    await asyncio.sleep(0.25)
    await asyncio.gather(*(check(checker, issuer, issuer.token("new")) for _ in range(20)))
    assert issuer.asked["/keys"] == 2
    # the issuer goes: what is kept counts for its time, and no longer
    issuer.answers["/keys"] = (500, {}, b"{}")
    assert await check(checker, issuer, issuer.token())
    monkeypatch.setattr(jwks, "KEEP_S", 0.0)
    assert await status_of(checker, issuer, issuer.token()) == 503
    asked = issuer.asked["/keys"]
    assert await status_of(checker, issuer, issuer.token()) == 503
    assert issuer.asked["/keys"] == asked


BAD_ANSWERS: list[tuple[int, dict[str, str], bytes]] = [
    (404, {}, b"{}"),
    (302, {"Location": "/real"}, b""),
    (200, {}, b"not json"),
    (200, {}, b"[]"),
    (200, {}, b'{"keys": 5}'),
    (200, {}, b'{"keys": [' + b" " * (256 * 1024) + b"]}"),
    (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b\x08\x00"),
    (200, {}, b"[" * 100_000),
]


@pytest.mark.parametrize("answer", BAD_ANSWERS, ids=lambda answer: f"{answer[0]} {answer[2][:10]!r}")
async def test_keys_that_cannot_be_had_are_503(issuer: Issuer, answer: tuple[int, dict[str, str], bytes]) -> None:
    issuer.answers = {"/keys": answer, "/real": (200, {}, json.dumps({"keys": issuer.keys}).encode())}
    assert await status_of(Jwks(), issuer, issuer.token()) == 503


async def test_an_issuer_that_hangs_is_left_in_time(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT_S", 0.2)
    issuer.delay_s = 10.0
    began = time.monotonic()
    assert await status_of(Jwks(), issuer, issuer.token()) == 503
    assert time.monotonic() - began < 10


async def test_discovery_says_where_the_keys_are(issuer: Issuer) -> None:
    checker = Jwks()
    assert await asyncio.gather(*(checker.discover(issuer.url) for _ in range(5))) == [issuer.jwks_url] * 5
    assert issuer.asked["/.well-known/openid-configuration"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "http://127.0.0.1:1"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://[bad"},
        {"jwks_uri": 5},
    ],
)
async def test_a_discovery_document_of_somebody_else_does_not_count(issuer: Issuer, change: dict[str, Any]) -> None:
    issuer.discovery |= change
    with pytest.raises(Problem) as refused:
        await Jwks().discover(issuer.url)
    assert refused.value.status == 503
