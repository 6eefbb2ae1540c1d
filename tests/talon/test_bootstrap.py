"""The set-up's decisions, which need no network: what, from where, by whose certificates, and how it is said."""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from talon.bootstrap import __main__ as bootstrap
from talon.bootstrap import authorities, current, npm, registry, softhsm, steps, system
from talon.bootstrap.environment import inherited
from talon.bootstrap.places import ROOT, VENV
from talon.bootstrap.python import ENTRIES, parse_pip_settings, uv_environment
from talon.bootstrap.readable import make_readable
from talon.bootstrap.steps import SetupError
from tests.support.certificates import make_certificate

LOCK = json.loads((ROOT / "package-lock.json").read_text())


def test_what_runs_is_the_chain_of_this_machine_and_no_compiler() -> None:
    for cpu, package in (("x64", "@foundry-rs/anvil-linux-amd64"), ("arm64", "@foundry-rs/anvil-linux-arm64")):
        names = [found.name for found in npm.wanted(LOCK, development=False, system="linux", cpu=cpu)]
        assert names == [package]
        names = [found.name for found in npm.wanted(LOCK, development=True, system="linux", cpu=cpu)]
        assert {package, "solc", "js-sha3"} <= set(names)
    assert all(found.integrity.startswith("sha512-") for found in npm.wanted(LOCK, True, "linux", "x64"))


def test_a_machine_without_a_local_chain_is_told_how_to_go_on() -> None:
    with pytest.raises(SetupError, match=r"no local chain for linux on riscv64.*TALON_ANVIL_PORT=0"):
        npm.wanted(LOCK, development=False, system="linux", cpu="riscv64")


def test_a_configured_registry_is_asked_with_its_credentials(tmp_path: Path) -> None:
    (tmp_path / ".npmrc").write_text(
        "; ours\nregistry = http://mirror.invalid/npm/\n@foundry-rs:registry=http://scoped.invalid\n"
        "//mirror.invalid/:_authToken=${TOKEN}\n"
    )
    settings = registry.npm_settings({"HOME": str(tmp_path), "TOKEN": "t0k3n"})
    asked = registry.Registry(settings, {})
    assert asked.archive("@foundry-rs/anvil", "1.0.0") == (
        "http://scoped.invalid/@foundry-rs/anvil/-/anvil-1.0.0.tgz",
        {},
    )
    url, headers = asked.archive("solc", "2.0.0")
    assert url == "http://mirror.invalid/npm/solc/-/solc-2.0.0.tgz"
    assert headers == {"Authorization": "Bearer t0k3n"}
    assert "t0k3n" not in repr(asked)
    # the environment comes last, and a file of one's own is read in place of the usual one
    settings = registry.npm_settings({"HOME": str(tmp_path), "NPM_CONFIG_REGISTRY": "http://environment.invalid"})
    assert registry.base_of("solc", settings) == "http://environment.invalid"
    assert registry.base_of("solc", registry.npm_settings({"NPM_CONFIG_USERCONFIG": "/nowhere"})) is None


def test_uv_goes_where_pip_would_go() -> None:
    settings = parse_pip_settings(
        "global.index-url='http://pip.invalid/simple'\n:env:.trusted-host='a b'\nnonsense\n"
    )
    assert settings == {"index-url": "http://pip.invalid/simple", "trusted-host": "a b"}
    told = uv_environment(settings, {})
    assert (told["UV_DEFAULT_INDEX"], told["UV_INSECURE_HOST"]) == ("http://pip.invalid/simple", "a b")
    assert "UV_DEFAULT_INDEX" not in uv_environment(settings, {"UV_DEFAULT_INDEX": "http://uv.invalid"})
    assert "UV_DEFAULT_INDEX" not in uv_environment({}, {})


def test_every_tool_believes_every_named_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorities, "TOOLS", tmp_path / "tools")
    files = {}
    for variable in ("SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS"):
        files[variable] = tmp_path / variable
        files[variable].write_text(f"authority of {variable}\n")
    made = authorities.bundle(environment={variable: str(path) for variable, path in files.items()})
    assert made is not None
    for variable in files:
        assert f"authority of {variable}" in made.read_text()
    assert set(authorities.for_tools(made)) == {"SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"}
    with pytest.raises(SetupError, match="PIP_CERT names a file that is not there: /nowhere"):
        authorities.named({"PIP_CERT": "/nowhere"})


def test_a_private_key_beside_an_authority_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorities, "TOOLS", tmp_path / "tools")
    place = tmp_path / "both.pem"
    certificate, key = make_certificate("a company").save(tmp_path, "company")
    place.write_text(Path(key).read_text() + Path(certificate).read_text())
    made = authorities.bundle(environment={"SSL_CERT_FILE": str(place)})
    assert made is not None
    assert Path(certificate).read_text().strip() in made.read_text()
    assert "PRIVATE KEY" not in made.read_text()


def test_who_has_what_tests_need_keeps_it_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "STAMP", tmp_path / "stamp")
    assert current.choose(current.PRODUCTION, exactly=False) == current.PRODUCTION
    current.remember(current.TEST, chain=True)
    assert current.choose(current.PRODUCTION, exactly=False) == current.TEST
    assert current.choose(current.PRODUCTION, exactly=True) == current.PRODUCTION
    assert current.is_current(current.TEST, chain=True)
    # a local chain that is there is in nobody's way
    assert current.is_current(current.TEST, chain=False)
    assert not current.is_current(current.PRODUCTION, chain=True)
    (tmp_path / "stamp").write_text("of an older version")
    assert current.installed() is None
    assert not current.is_current(current.TEST, chain=True)


def test_a_set_up_that_was_broken_off_is_not_taken_for_the_one_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer checkout's set-up ends half way, and the older one is checked out again: its stamp is there still."""
    monkeypatch.setattr(current, "STAMP", tmp_path / "stamp")
    current.remember(current.TEST, chain=True)
    current.forget()
    assert not current.is_current(current.TEST, chain=True)
    assert current.choose(current.PRODUCTION, exactly=False) == current.TEST
    (tmp_path / "stamp").unlink()
    current.forget()
    assert current.installed() is None


def broken_off() -> None:
    raise SetupError("broken off")


def test_a_set_up_says_first_that_what_is_there_may_be_half_of_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(bootstrap, "install_packages", lambda *_: broken_off())
    monkeypatch.setattr(bootstrap, "install_system_packages", lambda _: None)
    monkeypatch.setattr(bootstrap, "make_setup_tools", lambda _: None)
    monkeypatch.setattr(bootstrap, "pip_settings", dict)
    current.remember(current.TEST, chain=True)
    with pytest.raises(SetupError, match="broken off"):
        bootstrap.set_up(current.TEST, chain=True)
    assert not current.is_current(current.TEST, chain=True)


def test_a_library_that_was_unpacked_in_part_is_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools, programs = tmp_path / "tools", tmp_path / "bin"
    programs.mkdir()
    place = "usr/lib/machine/softhsm"
    for name, script in {
        "apt-get": "touch libsofthsm2_2.6.1.deb",
        # the disk is full
        "dpkg-deb": f'mkdir -p "$3/{place}" && echo half > "$3/{place}/libsofthsm2.so" && exit 2',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(softhsm, "TOOLS", tools)
    monkeypatch.setattr(softhsm, "PLACES", ())
    with pytest.raises(SetupError):
        softhsm.unpack_softhsm()
    assert softhsm.find_softhsm() is None


def test_steps_find_a_home_and_nothing_that_leads_them_astray(tmp_path: Path) -> None:
    given = {"PYTHONPATH": "/elsewhere", "VIRTUAL_ENV": "/elsewhere", "PIP_USER": "1", "KEPT": "1"}
    for home in ({}, {"HOME": ""}, {"HOME": str(tmp_path / "missing")}):
        own = inherited({**given, **home})
        assert own == {"KEPT": "1", "VIRTUAL_ENV": str(VENV), "HOME": str(ROOT / ".tools" / "home")}
    assert inherited({"HOME": str(tmp_path)})["HOME"] == str(tmp_path)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("error: No space left on device (os error 28)", "the disk is full"),
        ("invalid peer certificate: UnknownIssuer", "a registry's certificate is not trusted.*SSL_CERT_FILE"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "a registry's certificate is not trusted"),
        ("Temporary failure in name resolution", "a package registry cannot be reached.*needs the network"),
        ("dns error: failed to lookup address information", "a package registry cannot be reached"),
        ("ERROR: No matching distribution found for uv==0.0.1", "a package has no build for this machine.*glibc"),
    ],
)
def test_a_failed_step_says_what_lies_behind_it(said: str, sentence: str) -> None:
    with pytest.raises(SetupError, match=rf"^{sentence}.*; {Path(sys.executable).name} says: ") as raised:
        steps.run([sys.executable, "-c", "import sys; sys.exit('much\\nelse\\n' + sys.argv[1])", said])
    assert str(raised.value).endswith(said)
    assert "\n" not in str(raised.value)
    assert steps.reason("something else") == ""


def test_what_only_root_may_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SetupError, match=r"^please install python3\.\d+-venv \(Debian: sudo apt-get install "):
        system.install_system_packages({})
    # where there is no Debian, SoftHSM2 too is somebody else's to install
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SetupError, match=r"^please install SoftHSM2 .*dnf install softhsm"):
        softhsm.unpack_softhsm()
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SetupError, match=r"^Talon runs on Linux only: use a Linux machine"):
        system.install_system_packages({})


def test_a_file_that_cannot_be_written_is_named() -> None:
    said = steps.explain(PermissionError(13, "Permission denied", "/the/file"))
    assert said.startswith("/the/file cannot be written (Permission denied): run as")
    assert "disk is full" in steps.explain(OSError(28, "No space left on device"))


def test_an_older_python_gets_a_sentence() -> None:
    code = "import sys; sys.version_info = (3, 9, 2, 'final', 0); import runpy; runpy.run_module('talon.bootstrap')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("set-up: Talon needs Python 3.11 or newer, this is 3.9")
    assert done.stderr.count("\n") == 1


def test_what_a_strict_umask_took_is_given_back_to_the_program_alone(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "inner").mkdir(parents=True)
    module, tool = package / "inner" / "module.py", package / "tool"
    secret = tmp_path / "secret"
    for path, mode in ((module, 0o600), (tool, 0o700), (secret, 0o600)):
        path.touch()
        path.chmod(mode)
    (package / "link").symlink_to(secret)
    for directory in (package / "inner", package):
        directory.chmod(0o700)
    make_readable([package])
    modes = [path.stat().st_mode & 0o777 for path in (package, package / "inner", module, tool, secret)]
    assert modes == [0o755, 0o755, 0o644, 0o755, 0o600]


def test_what_runs_imports_nothing_that_only_tests_have() -> None:
    """The server's set lacks these packages, and this run has them: nobody else would notice."""
    ask = """
import re, runpy, sys
from importlib.metadata import packages_distributions
names = lambda file: set(re.findall(r"^([a-z0-9.-]+)==", open(file).read(), re.M))
only_tests = names("requirements-test.txt") - names("requirements.txt")
norm = lambda name: re.sub(r"[-_.]+", "-", name).lower()
hidden = {top for top, dists in packages_distributions().items() if {norm(d) for d in dists} <= only_tests}
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"{name} is for tests alone", name=name)
sys.meta_path.insert(0, Hide())
assert "pytest" in hidden and "eth_account" in hidden and "sqlalchemy" not in hidden, hidden
for entry in sys.argv[1:]:
    __import__(entry)
"""
    # whatever the processes import at their start and, by name, every module of the program but the benchmark
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in ("talon", "intents", "vault", "signer", "guardrails", "chains", "anvil")
        for path in sorted((ROOT / package).rglob("*.py"))
        if not path.name.startswith(("bench", "__", "env")) and "versions" not in path.parts
    ]
    done = subprocess.run(
        [sys.executable, "-c", ask, *ENTRIES, *modules], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_command_works_from_anywhere(tmp_path: Path) -> None:
    for package in ("talon", "signer"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('the wrong one')")
    link = tmp_path / "linked"
    link.symlink_to(VENV / "bin" / "talon")
    environment = {"PATH": os.environ["PATH"]}
    for command in (VENV / "bin" / "talon", link):
        done = subprocess.run(
            [str(command), "--help"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "Usage: talon" in done.stdout


def test_the_page_quotes_what_is_said() -> None:
    said: list[str] = []
    for source in (*(ROOT / "talon" / "bootstrap").glob("*.py"), ROOT / "talon" / "postgres_user.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                # what differs from machine to machine is a dot-dot-dot there
                said.append("".join(p.value if isinstance(p, ast.Constant) else "…" for p in node.values))
    page = (ROOT / "docs" / "starting.md").read_text().partition("## What the set-up says")[2]
    quoted = re.findall(r"^\| [^|]+ \| ([^|`]+) \|$", page, re.MULTILINE)[1:]
    assert len(quoted) > 10
    assert [sentence for sentence in quoted if not any(sentence in one for one in said)] == []
