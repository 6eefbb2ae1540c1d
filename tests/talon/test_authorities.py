"""A company's authority reaches the processes that call out, also where its file lies in a closed folder."""

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from talon.children import Children
from talon.database import Urls
from talon.layout import NOBODY_ELSE, SEPARATE, Layout
from talon.settings import Settings
from tests.support.certificates import make_certificate
from tests.support.pace import patient

CALL = """
import ssl, sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=30, context=ssl.create_default_context()).read())
"""


@pytest.fixture
def company(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of something behind a company's authority, and that authority's file."""
    authority = make_certificate("a company")
    certificate, key = make_certificate("localhost", authority).save(tmp_path, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        context.wrap_socket(listener, server_side=True) as server,
    ):

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}", authority.save(closed, "authority")[0]
        thread.join(30)


def test_the_worker_believes_whom_the_host_believes(
    company: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, authority = company
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere")
    # as root the worker runs under a uid of its own, which may not pass pytest's folders
    identities = SEPARATE if os.geteuid() == 0 else NOBODY_ELSE
    layout = Layout(tmp_path / "home")
    layout.create(identities)
    database = "postgresql+psycopg://u:p@db.invalid/talon"
    report = os.memfd_create("report")
    worker = Children(Settings(), layout, identities, report).worker(Urls(database, database, database))
    assert "SSL_CERT_DIR" not in worker.environment
    done = subprocess.run(
        worker.confinement.wrap([sys.executable, "-c", CALL, url]),
        env=dict(worker.environment),
        capture_output=True,
        text=True,
        timeout=patient(60),
        check=False,
    )
    assert done.stdout == "b'hi'\n", done.stderr[-1000:]
