"""A real nginx for tests: the system's, or Debian's package unpacked into .tools, where nothing is started by it."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from talon.bootstrap import TOOLS, SetupError, one_at_a_time, run, succeeds
from talon.confine import Confinement
from tests.support.pace import patient

OWN = TOOLS / "nginx"
# the program itself (Debian 12 and later; before and in Ubuntu), and libraries that a bare system may lack
PROGRAMS = ("nginx", "nginx-core", "nginx-light")
LIBRARIES = ("libpcre2-8-0", "libssl3", "libcrypt1", "zlib1g")
START_TIMEOUT_S = 10.0

_CONFIGURATION = """
daemon off;
worker_processes 1;
user {user};
pid {home}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    {servers}
}}
"""


@contextmanager
def running_nginx(home: Path, servers: str, ports: tuple[int, ...]) -> Iterator[None]:
    """Run nginx with these `server` blocks until the end of the block; it must listen on `ports`."""
    program, environment = find_nginx()
    configuration = home / "nginx.conf"
    user = pwd.getpwuid(os.geteuid()).pw_name
    configuration.write_text(_CONFIGURATION.format(home=home, user=user, servers=servers))
    log = home / "nginx.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            Confinement(death_signal=signal.SIGTERM, directory=str(home)).wrap(
                [str(program), "-e", "stderr", "-p", str(home), "-c", str(configuration)]
            ),
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        _await_ports(process, ports, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)


def find_nginx() -> tuple[Path, dict[str, str]]:
    """The program and what it needs in its environment; fetched first where it is missing."""
    system = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if system:
        return Path(system), {}
    program = OWN / "usr" / "sbin" / "nginx"
    if not program.exists():
        with one_at_a_time():
            if not program.exists():
                _unpack(PROGRAMS)
    if not program.exists():
        raise SetupError("please install nginx (Debian: sudo apt-get install nginx-light)")
    environment = {"LD_LIBRARY_PATH": ":".join(str(path) for path in OWN.glob("usr/lib/*-linux-gnu"))}
    if "not found" in _libraries(program, environment):
        with one_at_a_time():
            _unpack(LIBRARIES)
        environment = {"LD_LIBRARY_PATH": ":".join(str(path) for path in OWN.glob("usr/lib/*-linux-gnu"))}
    return program, environment


def _unpack(packages: tuple[str, ...]) -> None:
    """Download those packages that exist, and unpack them into a directory of our own."""
    archives = TOOLS / "deb"
    archives.mkdir(parents=True, exist_ok=True)
    fetched = [name for name in packages if _download(name, archives)]
    if not fetched and os.geteuid() == 0:
        # a fresh machine has no lists yet
        run(["apt-get", "update", "--quiet"], {"DEBIAN_FRONTEND": "noninteractive"})
        fetched = [name for name in packages if _download(name, archives)]
    for name in fetched:
        for archive in archives.glob(f"{name}_*.deb"):
            run(["dpkg-deb", "-x", str(archive), str(OWN)])


def _download(name: str, archives: Path) -> bool:
    return succeeds(["apt-get", "download", "--quiet", name], directory=archives)


def _libraries(program: Path, environment: dict[str, str]) -> str:
    asked = subprocess.run(
        ["ldd", str(program)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return asked.stdout


def _await_ports(process: subprocess.Popen[bytes], ports: tuple[int, ...], log: Path) -> None:
    deadline = time.monotonic() + patient(START_TIMEOUT_S)
    for port in ports:
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nginx does not listen: {log.read_text()[-2000:]}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.02)
