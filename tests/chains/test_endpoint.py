import pytest

from chains.endpoint import mask_url


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("https://eth.example/v2/SECRET", "https://eth.example"),
        ("https://user:SECRET@eth.example:8443/x?key=SECRET#SECRET", "https://eth.example:8443"),
        ("https://[2001:db8::1]:8545/SECRET", "https://2001:db8::1:8545"),
        ("SECRET", "(unreadable endpoint)"),
        ("http://SECRET:notaport/", "(unreadable endpoint)"),
        ("", "(unreadable endpoint)"),
    ],
)
def test_only_scheme_host_and_port_are_shown(url: str, masked: str) -> None:
    assert mask_url(url) == masked
