"""Which endpoints may be stored and what of them is shown."""

import pytest

from vault.networks.urls import HTTP, WEBSOCKET, fault_of, shown


@pytest.mark.parametrize("url", ["https://rpc.example", "http://127.0.0.1:8545", "https://rpc.example/eth?x=1"])
def test_good_endpoints(url: str) -> None:
    assert fault_of(url, HTTP) is None


@pytest.mark.parametrize(
    "url",
    ["", "rpc.example", "//rpc.example", "ftp://rpc.example", "ws://rpc.example", "file:///etc/passwd", "https://",
     "https:///path", "https://a b", "https://a\n", "https://a:99999", "https://[::1", "https://a/" + "x" * 2048],
)  # fmt: skip
def test_bad_endpoints(url: str) -> None:
    fault = fault_of(url, HTTP)
    assert fault is not None
    assert "rpc.example" not in fault


def test_schemes_are_separate() -> None:
    assert fault_of("wss://rpc.example", WEBSOCKET) is None
    assert fault_of("https://rpc.example", WEBSOCKET) is not None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (None, None),
        ("https://rpc.example", "https://rpc.example"),
        ("https://rpc.example/eth/mainnet", "https://rpc.example/eth/mainnet"),
        ("http://127.0.0.1:8545/", "http://127.0.0.1:8545/"),
        ("https://user:pass@rpc.example:8443/x", "https://rpc.example:8443/x"),
        ("https://rpc.example/v2/0123456789abcdef0123456789abcdef", "https://rpc.example/v2/***"),
        ("https://rpc.example/?apikey=abc", "https://rpc.example/?***"),
        ("https://rpc.example/x#token", "https://rpc.example/x"),
    ],
)
def test_shown(url: str | None, expected: str | None) -> None:
    assert shown(url) == expected
