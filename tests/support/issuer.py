"""An OpenID Connect issuer on loopback: a real HTTP server with keys made here, and tokens signed with them."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_JWK: dict[str, Callable[[Any], Any]] = {
    "RS256": lambda key: jwt.algorithms.RSAAlgorithm.to_jwk(key, as_dict=True),
    "PS256": lambda key: jwt.algorithms.RSAAlgorithm.to_jwk(key, as_dict=True),
    "ES256": lambda key: jwt.algorithms.ECAlgorithm.to_jwk(key, as_dict=True),
    "EdDSA": lambda key: jwt.algorithms.OKPAlgorithm.to_jwk(key, as_dict=True),
}


class Issuer:
    """What the server tells; tests change `discovery`, `keys` and `answers` as they like.

    `answers` maps a path to (status, headers, body) and goes before everything else; `asked` counts requests.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.jwks_url = f"{self.url}/keys"
        self.discovery: dict[str, Any] = {"issuer": self.url, "jwks_uri": self.jwks_url}
        self.keys: list[dict[str, Any]] = []
        self.private: dict[str, tuple[str, PrivateKey]] = {}
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.delay_s = 0.0
        self.asked: dict[str, int] = {}

    def add_key(self, kid: str, algorithm: str, key: PrivateKey | None = None) -> None:
        """Publish a key of this algorithm (made unless given)."""
        key = key or _make(algorithm)
        self.private[kid] = (algorithm, key)
        self.keys.append({**_JWK[algorithm](key.public_key()), "kid": kid, "use": "sig"})

    def token(self, kid: str = "main", *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token signed by the key `kid`; a claim that is None is left out."""
        algorithm, key = self.private[kid]
        now = int(time.time())
        full = {"iss": self.url, "aud": "talon", "iat": now, "exp": now + 300, **claims}
        kept = {name: value for name, value in full.items() if value is not None}
        return jwt.encode(kept, key, algorithm=algorithm, headers={"kid": kid, **(headers or {})})

    def body(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """What a path answers."""
        if path in self.answers:
            return self.answers[path]
        documents = {"/.well-known/openid-configuration": self.discovery, "/keys": {"keys": self.keys}}
        found = documents.get(path)
        return (404, {}, b"{}") if found is None else (200, {}, json.dumps(found).encode())


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """An issuer with one RSA key, `main`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked[self.path] = issuer.asked.get(self.path, 0) + 1
            time.sleep(issuer.delay_s)
            status, headers, body = issuer.body(self.path)
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(server.server_address[1])
    issuer.add_key("main", "RS256")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def _make(algorithm: str) -> PrivateKey:
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
