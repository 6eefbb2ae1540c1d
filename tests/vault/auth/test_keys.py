import hashlib
import re

import pytest

from vault.auth import keys


@pytest.mark.parametrize("kind", [keys.AGENT, keys.PERSON])
def test_a_new_key_has_the_contracts_form_and_only_its_digest_is_kept(kind: str) -> None:
    made = keys.make_key(kind)
    assert re.fullmatch(kind + "[A-Za-z0-9_-]{43}", made.text)
    assert made.prefix == made.text[:12]
    assert made.digest == hashlib.sha256(made.text.encode()).digest()
    assert made.text not in repr(made)


def test_two_keys_never_match_each_other() -> None:
    one, other = keys.make_key(keys.AGENT), keys.make_key(keys.AGENT)
    assert keys.matches(one.text, one.digest)
    assert not keys.matches(other.text, one.digest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ocv_",
        "ocv_" + "a" * 42,
        "ocv_" + "a" * 44,
        "ocv_" + "a" * 42 + "\n",
        "ocv_" + "a" * 43 + "\n",
        "plt_" + "a" * 43,
        "ocv_" + "é" * 43,
        "OCV_" + "a" * 43,
    ],
)
def test_what_is_not_a_key_is_not_taken_for_one(text: str) -> None:
    assert not keys.is_key(text)
