import os
import subprocess
import sys

import pytest

from signer.client import SignerClient
from signer.lifeline import LASTING
from talon.bootstrap import ROOT
from tests.support.hsm import Hsm

EVERY_ATTACK = {
    "read_value",
    "wrap_by_own_root",
    "wrap_by_vault_root",
    "wrap_by_foreign_key",
    "set_extractable",
    "set_not_sensitive",
    "copy_extractable",
    "copy_not_sensitive",
    "decrypt_blob",
    "unwrap_extractable",
    "unwrap_not_sensitive",
    "unwrap_as_aes",
    "unwrap_as_hidden_aes",
    "unwrap_as_generic_secret",
    "vault_key_read_value",
    "vault_key_wrap_by_root",
    "vault_key_set_extractable",
    "vault_key_decrypt_blob",
    "vault_key_decrypt_data_key",
    "vault_key_unwrap_readable",
    "vault_key_unwrap_to_decrypt",
    "vault_key_unwrap_as_generic_secret",
    "audit_key_read_value",
    "audit_key_wrap_by_root",
    "audit_key_set_extractable",
    "audit_key_copy_extractable",
    "root_read_value",
    "root_set_decrypt",
    "root_copy_decrypt",
    "vault_root_read_value",
    "vault_root_set_decrypt",
    "vault_root_copy_decrypt",
}


async def test_every_attack_is_refused_and_reported_by_name(signer: SignerClient) -> None:
    health = await signer.health()
    assert health.ok
    assert health.custody_checks == dict.fromkeys(EVERY_ATTACK, "refused")


@pytest.mark.parametrize(
    ("weakness", "found"),
    [
        ("no template", {"unwrap_extractable", "unwrap_not_sensitive", "unwrap_as_aes", "unwrap_as_generic_secret"}),
        ("sensitive left open", {"unwrap_not_sensitive"}),
        ("extractable left open", {"unwrap_extractable"}),
        ("class left open", {"unwrap_as_hidden_aes"}),
        ("default root", {"decrypt_blob", "unwrap_extractable", "root_set_decrypt", "root_copy_decrypt"}),
        ("vault root without template", {"vault_key_unwrap_readable", "vault_key_unwrap_as_generic_secret"}),
        ("vault keys may decrypt", {"vault_key_unwrap_to_decrypt"}),
        ("default vault root", {"vault_key_decrypt_blob", "vault_root_copy_decrypt"}),
        ("two roots", {"MultipleObjectsReturned"}),
    ],
)
def test_a_weak_root_is_found_and_the_signer_does_not_run(hsm: Hsm, weakness: str, found: set[str]) -> None:
    weaken(hsm, weakness)
    process = hsm.spawn()
    assert process.wait(30) == LASTING
    assert process.stdout is not None
    assert process.stdout.read() == b""
    said = hsm.log_file.read_text()
    assert "cannot serve" in said
    assert all(name in said for name in found), said
    assert "Traceback" not in said


async def test_the_same_way_without_a_weakness_the_signer_runs(hsm: Hsm) -> None:
    weaken(hsm, "none")
    await hsm.start()


def weaken(hsm: Hsm, weakness: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "tests.signer.weak_token", hsm.config(), weakness],
        cwd=ROOT,
        env={"SOFTHSM2_CONF": str(hsm.token.conf), "PATH": os.environ["PATH"]},
        check=True,
        timeout=30,
    )
