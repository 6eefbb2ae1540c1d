import pytest

from vault.auth.scopes import path_scopes


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ([], None),
        (["vault:read", "tx:sign"], None),
        (["keys/*"], ("keys/*",)),
        (["vault:read", "keys/*", "prod/**"], ("keys/*", "prod/**")),
        (["keys/*", "**"], None),
        # one segment only: narrower than everything
        (["*"], ("*",)),
    ],
)
def test_patterns_narrow_and_labels_do_not(scopes: list[str], expected: tuple[str, ...] | None) -> None:
    assert path_scopes(scopes) == expected
