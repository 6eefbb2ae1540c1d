"""Which paths exist at all."""

import pytest

from vault.errors import Problem
from vault.secrets.paths import MAX_LENGTH, check_path, is_path


@pytest.mark.parametrize(
    "path", ["a", "A", "7", "keys/anvil-signer", "a/b/c", "a_b/c-d", "a/-b/_c/d", "a" * MAX_LENGTH]
)
def test_good_paths(path: str) -> None:
    assert is_path(path)
    assert check_path(path) == path


@pytest.mark.parametrize(
    "path",
    ["", "/", "/a", "a/", "a//b", "-a", "a-", "_a", "a.b", "a b", "a/../b", "a%2Fb", "a\n", "a\nb", "\n", "a\x00b",
     "é", "a٣", "a*", "a" * (MAX_LENGTH + 1)],
)  # fmt: skip
def test_bad_paths(path: str) -> None:
    assert not is_path(path)
    with pytest.raises(Problem) as refused:
        check_path(path, field="signing_key_path")
    assert refused.value.status == 400
    assert refused.value.detail.startswith("signing_key_path")
