"""An archive over a line that a company's authority vouches for: taken whole and right, or not at all."""

import base64
import hashlib
import http.server
import io
import ssl
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from talon.bootstrap import authorities, npm
from talon.bootstrap.download import fetch
from talon.bootstrap.steps import SetupError
from tests.support.certificates import make_certificate


def archive(*names: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.mode = 5, 0o755 if "bin" in name else 0o600
            tar.addfile(member, io.BytesIO(b"bytes"))
        link = tarfile.TarInfo("package/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return made.getvalue()


def integrity(content: bytes) -> str:
    return f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"


CONTENT = archive("package/bin/tool", "package/package.json", "package/../../outside")


class Registry(http.server.BaseHTTPRequestHandler):
    # path and log-in of each request
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Authorization"]))
        found = self.path == "/archive.tgz"
        self.send_response(302 if self.path == "/moved.tgz" else 200 if found else 404)
        if self.path == "/moved.tgz":
            # another host, as far as anybody can tell by its name
            port = self.headers["Host"].rpartition(":")[2]
            self.send_header("Location", f"https://localhost:{port}/archive.tgz")
        self.end_headers()
        self.wfile.write(CONTENT if found else b"")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a registry behind a company's authority, and that authority's file."""
    place = tmp_path_factory.mktemp("company")
    authority = make_certificate("a company")
    certificate, key = make_certificate("localhost", authority).save(place, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{server.server_address[1]}", authority.save(place, "authority")[0]
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorities, "TOOLS", tmp_path / "tools")


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS", "NPM_CONFIG_CAFILE"])
def test_a_companys_authority_is_believed_by_whichever_name(company: tuple[str, Path], variable: str) -> None:
    url, authority = company
    believed = authorities.bundle(environment={variable: str(authority)})
    assert fetch(f"{url}/archive.tgz", integrity(CONTENT), {}, believed) == CONTENT


def test_without_it_the_sentence_says_what_to_set(company: tuple[str, Path]) -> None:
    with pytest.raises(SetupError, match=r"certificate is not trusted.*SSL_CERT_FILE"):
        fetch(f"{company[0]}/archive.tgz", integrity(CONTENT), {}, authorities.bundle(environment={}))


def test_another_content_is_not_taken(company: tuple[str, Path]) -> None:
    url, authority = company
    with pytest.raises(SetupError, match=r"another hash than package-lock\.json says"):
        fetch(f"{url}/archive.tgz", integrity(b"another"), {}, authority)


def test_a_log_in_goes_to_its_registry_and_not_where_that_points(company: tuple[str, Path]) -> None:
    url, authority = company
    Registry.asked.clear()
    log_in = {"Authorization": "Bearer of-the-registry"}
    assert fetch(f"{url}/moved.tgz", integrity(CONTENT), log_in, authority) == CONTENT
    assert Registry.asked == [("/moved.tgz", "Bearer of-the-registry"), ("/archive.tgz", None)]


def test_what_is_not_there_is_said(company: tuple[str, Path]) -> None:
    url, authority = company
    with pytest.raises(SetupError, match="the registry answered 404"):
        fetch(f"{url}/missing.tgz", integrity(CONTENT), {}, authority)
    with pytest.raises(SetupError, match="begins with neither"):
        fetch("file:///etc/passwd", integrity(CONTENT), {}, authority)
    with pytest.raises(SetupError, match="cannot be reached"):
        fetch("http://127.0.0.1:1/archive.tgz", integrity(CONTENT), {}, authority)


def test_an_archive_that_is_too_large_is_not_taken_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npm, "NODE_MODULES", tmp_path / "node_modules")
    monkeypatch.setattr(npm, "MAX_UNPACKED_BYTES", 9)
    package = npm.Package("tool", "tool", "1.0.0", integrity(CONTENT))
    with pytest.raises(SetupError, match="tool is larger than"):
        npm.unpack(package, CONTENT)
    assert not npm.is_there(package)


def test_an_archive_is_unpacked_below_its_place_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = tmp_path / "node_modules"
    monkeypatch.setattr(npm, "NODE_MODULES", modules)
    package = npm.Package("@scope/tool", "@scope/tool", "1.0.0", integrity(CONTENT))
    (modules / "@scope" / "tool" / "left over").mkdir(parents=True)
    (modules / "gone" / "bin").mkdir(parents=True)
    assert not npm.is_there(package)
    npm.unpack(package, CONTENT)
    assert npm.is_there(package)
    npm.prune({"@scope/tool"})
    found = sorted(path.relative_to(modules).as_posix() for path in modules.rglob("*") if not path.is_dir())
    assert found == ["@scope/tool/.integrity", "@scope/tool/bin/tool", "@scope/tool/package.json"]
    assert (modules / "@scope/tool/bin/tool").stat().st_mode & 0o777 == 0o755
    assert (modules / "@scope/tool/package.json").stat().st_mode & 0o777 == 0o644
    assert not (tmp_path / "outside").exists()
