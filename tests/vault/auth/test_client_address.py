import pytest

from vault.auth.client_address import client_address, parse_networks

TRUSTED = parse_networks(("10.0.0.0/8", "::1", "192.0.2.7"))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "expected"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        # only a trusted proxy's word counts
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("::1", "198.51.100.1", "198.51.100.1"),
        # what stands left of the first untrusted address was written by the client itself
        ("10.0.0.1", "127.0.0.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.1.2.3, 192.0.2.7", "198.51.100.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, nonsense", "10.0.0.1"),
        ("::ffff:203.0.113.9", "", "203.0.113.9"),
        ("10.0.0.1", "2001:DB8::1", "2001:db8::1"),
        (None, "198.51.100.1", None),
        ("testclient", "198.51.100.1", None),
    ],
)
def test_the_address_behind_trusted_proxies(peer: str | None, forwarded_for: str, expected: str | None) -> None:
    assert client_address(peer, forwarded_for, TRUSTED) == expected


def test_without_trusted_proxies_the_header_means_nothing() -> None:
    assert client_address("10.0.0.1", "198.51.100.1", ()) == "10.0.0.1"


def test_a_misspelt_proxy_is_an_error_at_start() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        parse_networks(("10.0.0.0/8", "proxy.internal"))
