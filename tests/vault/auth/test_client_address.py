import pytest

from vault.auth.client_address import MAX_HOPS, client_address, group_of, parse_networks

TRUSTED = parse_networks(("10.0.0.0/8", "::1", "192.0.2.7", "fe80::/10"))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "expected"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        # only a trusted proxy's word counts
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("203.0.113.9", "nonsense", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("::1", "198.51.100.1", "198.51.100.1"),
        # what stands left of the first untrusted address was written by the client itself
        ("10.0.0.1", "127.0.0.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.1.2.3, 192.0.2.7", "198.51.100.1"),
        ("10.0.0.1", "nonsense, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "10.2.2.2", "10.2.2.2"),
        ("::ffff:203.0.113.9", None, "203.0.113.9"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "2001:DB8::1", "2001:db8::1"),
        # as some proxies write it
        ("10.0.0.1", "203.0.113.9:51234", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::7]:443", "2001:db8::7"),
        ("10.0.0.1", "[2001:db8::7]", "2001:db8::7"),
        ("10.0.0.1", "[::ffff:203.0.113.9]:443", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1:80, 10.1.2.3:4711,\t[::1]:443", "198.51.100.1"),
        # a zone means something on one machine only
        ("fe80::1%eth0", None, "fe80::1"),
        ("fe80::1%eth0", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "[fe90::2%25eth0]:443", "fe90::2"),
        ("10.0.0.1", "2001:db8::7%<script>", "2001:db8::7"),
        # never the proxy's own, which may be let in where the client is not
        *(
            ("10.0.0.1", hop, None)
            for hop in (
                "nonsense", "unknown", "_hidden", "", " ", ",", "198.51.100.1,", "198.51.100.1, ,10.2.2.2",
                "198.51.100.1, nonsense", "198.51.100.1, nonsense, 10.2.2.2", "203.0.113.9:", "203.0.113.9:x",
                "203.0.113.9:123456", "203.0.113.9 51234", "2001:db8:1:2:3:4:5:6:443", "[2001:db8::7", "2001:db8::7]",
                "[2001:db8::7]443", "[203.0.113.9]x", "[]:443", "300.1.1.1", "203.0.113.09", "localhost",
                "for=1.2.3.4", '"203.0.113.9"', "203.0.113.9/32", "[2001:db8::7]:-1",
            )
        ),
        (None, "198.51.100.1", None),
        ("testclient", "198.51.100.1", None),
    ],
)  # fmt: skip
def test_the_address_behind_trusted_proxies(
    peer: str | None, forwarded_for: str | None, expected: str | None
) -> None:
    assert client_address(peer, forwarded_for, TRUSTED) == expected


def test_hops_are_bounded() -> None:
    ours = ", ".join(["10.0.0.2"] * (MAX_HOPS - 1))
    assert client_address("10.0.0.1", f"198.51.100.1, {ours}", TRUSTED) == "198.51.100.1"
    # not the last proxy that was looked at
    assert client_address("10.0.0.1", f"198.51.100.1, {ours}, {ours}", TRUSTED) is None


def test_without_trusted_proxies_the_header_means_nothing() -> None:
    assert client_address("10.0.0.1", "198.51.100.1", ()) == "10.0.0.1"


def test_a_misspelt_proxy_is_an_error_at_start() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        parse_networks(("10.0.0.0/8", "proxy.internal"))


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1", "fe80::/64"),
        (None, "unknown"),
    ],
)
def test_groups(address: str | None, group: str) -> None:
    assert group_of(address) == group
