"""What each child is: its command, its environment, its configuration file, and what of the files it may see."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import make_url

from signer.lifeline import Lifeline
from talon import __version__
from talon.asking import Questions, chain_answers
from talon.bootstrap import PACKAGES, ROOT
from talon.bootstrap.readable import make_readable
from talon.confine import Confinement
from talon.database import Urls
from talon.epoch import read_token
from talon.layout import NOBODY_ELSE, SEPARATE, Identities, Layout, own
from talon.postgres import write_secret
from talon.processes import Child
from talon.settings import Settings
from talon.start_checks import read_pin
from talon.token import TokenInfo

PROBE_TIMEOUT_S = 20.0
CHAIN_SILENT_S = 30.0
SIGNER_SILENT_S = 60.0
ANVIL_CHAIN_ID = 31337
# nothing of our own environment: it may hold passwords
BASIC_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class TokenAccess:
    """What a process of the signer's is told of the token, and what of the files and environment it needs for it."""

    config: dict[str, str]
    readable: tuple[str, ...]
    writable: tuple[str, ...]
    environment: dict[str, str]


def program_paths() -> tuple[str, ...]:
    """What running our Python code takes: interpreter, packages, code."""
    prefixes = dict.fromkeys((sys.base_prefix, sys.base_exec_prefix, sys.prefix))
    return (*prefixes, *(str(ROOT / package) for package in PACKAGES), str(ROOT / ".tools"))


def authorities() -> dict[str, str]:
    """Whose certificates this host believes, where it says so by OpenSSL's own variables: nodes, issuers and mail
    servers may stand behind a company's authority."""
    named = {name: os.environ.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    return {name: str(Path(value).absolute()) for name, value in named.items() if value and Path(value).exists()}


def choose_identities(layout: Layout, say: Callable[[str], None]) -> Identities:
    """Separate uids where the machine lets us; else one, with a line that says what is lost."""
    if os.geteuid() != 0:
        say("warning: not started as root, so all processes share one uid: the API process could read the HSM's PIN")
        return NOBODY_ELSE
    # what was checked out under a strict umask since the last set-up is for the other uids too
    with contextlib.suppress(OSError):
        make_readable(ROOT / package for package in PACKAGES)
    layout.create(SEPARATE)
    reason = why_not_separate(str(layout.run))
    if reason is None:
        return SEPARATE
    say(f"warning: separate uids do not work here ({reason}); all processes run as root")
    return NOBODY_ELSE


def why_not_separate(*further: str) -> str | None:
    """As root: why this machine does not let a process of ours run under another uid; None when it does."""
    paths = tuple(path for path in (*program_paths(), *further) if Path(path).exists())
    probe = Confinement(uid=SEPARATE.app, readable=paths, directory=str(ROOT))
    command = probe.wrap([sys.executable, "-c", "import psycopg, structlog, talon.settings"])
    try:
        done = subprocess.run(
            command, env=BASIC_ENVIRONMENT, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return "it takes too long"
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it died"])[-1]


class Children:
    """Makes the children of one instance."""

    def __init__(self, settings: Settings, layout: Layout, identities: Identities, report: int) -> None:
        self.settings, self.layout, self.identities = settings, layout, identities
        # the API processes only read what the supervisor knows
        self.report = os.open(f"/proc/self/fd/{report}", os.O_RDONLY)

    def anvil(self, binary: Path) -> Child:
        """The local chain with its keeper; SIGTERM at the supervisor's death, so that it still saves its state."""
        chain = self.layout.chain
        command = [sys.executable, "-m", "anvil.keep", str(binary), str(self.settings.anvil_port), str(chain)]
        readable = tuple(path for path in (*program_paths(), str(binary.parent)) if Path(path).exists())
        confinement = Confinement(
            self.identities.chain, readable, (str(chain),), death_signal=signal.SIGTERM, directory=str(ROOT)
        )
        child = self._child("anvil", command, confinement, HOME=str(chain))
        port = self.settings.anvil_port
        child.questions = Questions(child.name, lambda: chain_answers(port))
        # it saves its state
        child.bound_s, child.soft_signal = CHAIN_SILENT_S, signal.SIGTERM
        return child

    def token_access(self, token: TokenInfo) -> TokenAccess:
        """How a process of the signer's comes to the token."""
        pin_file = token.pin_file
        if token.conf is None:
            # an operator's file belongs to the operator: hand the signer a copy of its own
            pin_file = self.layout.run / "signer.pin"
            write_secret(pin_file, read_pin(token.pin_file), self.identities.signer)
        lock_file = self.layout.run / "signer.lock"
        lock_file.touch(mode=0o600)
        own(lock_file, self.identities.signer)
        config = {
            "pkcs11_module": token.module,
            "pkcs11_token": token.label,
            "pkcs11_pin_file": str(pin_file),
            "lock_file": str(lock_file),
        }
        writable: tuple[str, ...] = (str(self.layout.run),)
        if token.conf is not None:
            writable = (*writable, str(token.conf.parent))
        environment = {"SOFTHSM2_CONF": str(token.conf)} if token.conf is not None else {}
        return TokenAccess(config, (token.module,), writable, environment)

    def token_reader(self, access: TokenAccess) -> AbstractContextManager[Callable[[], dict[UUID, int]]]:
        """A short-lived child that reads the epochs in the token."""
        readable = (*self._visible(None), *access.readable)
        confinement = Confinement(self.identities.signer, readable, access.writable, directory=str(ROOT))
        return read_token(access.config, {**BASIC_ENVIRONMENT, **access.environment}, confinement)

    def signers(
        self, urls: Urls, access: TokenAccess, listener: socket.socket, epoch_file: Path | None
    ) -> list[Child]:
        """The signer processes; all accept on the one listening socket, which outlives each of them."""
        config = {
            **access.config,
            "socket_fd": listener.fileno(),
            "allowed_uids": sorted({os.geteuid(), self.identities.app or os.geteuid()}),
            "database_url": urls.signer,
            "epoch_file": str(epoch_file) if epoch_file is not None else None,
        }
        readable = (*self._visible(urls.signer), *access.readable)
        outside = () if epoch_file is None else (str(epoch_file.parent),)
        writable = (*access.writable, *outside)
        confinement = Confinement(self.identities.signer, readable, writable, directory=str(ROOT))
        command = self._python("signer", self._write_config("signer", config, self.identities.signer))
        return [
            self._own(f"signer-{number}", command, confinement, listener.fileno(), **access.environment)
            for number in range(1, self.settings.signers + 1)
        ]

    def apis(self, urls: Urls, listener: socket.socket) -> list[Child]:
        """The API processes; they share one listening socket, so that none of them is a single point."""
        path = self._write_config("api", self._app_config(urls), self.identities.app)
        command = [*self._python("talon.api", path), "--fd", str(listener.fileno()), "--report", str(self.report)]
        confinement = self._app_confinement(urls)
        names = [f"api-{number}" for number in range(1, self.settings.workers + 1)]
        return [
            self._own(name, [*command, "--name", name], confinement, listener.fileno(), self.report, **authorities())
            for name in names
        ]

    def worker(self, urls: Urls) -> Child:
        """The worker."""
        # the worker alone sends mail
        config = {**self._app_config(urls), "smtp_url": self.settings.smtp_url}
        path = self._write_config("worker", config, self.identities.app)
        command = self._python("talon.worker", path)
        return self._own("worker", command, self._app_confinement(urls), **authorities())

    def _app_config(self, urls: Urls) -> dict[str, Any]:
        settings = self.settings
        rpc_urls = dict(settings.rpc_urls)
        if settings.anvil_port:
            rpc_urls.setdefault(ANVIL_CHAIN_ID, [f"http://127.0.0.1:{settings.anvil_port}"])
        return {
            "database_url": urls.app,
            "signer_socket": str(self.layout.signer_socket),
            "redis_url": settings.redis_url,
            "rpc_urls": {str(chain_id): endpoints for chain_id, endpoints in rpc_urls.items()},
            "owns_local_chain": bool(settings.anvil_port) and ANVIL_CHAIN_ID not in settings.rpc_urls,
            "public_url": settings.public_url or settings.base_url,
            "host": settings.host,
            "port": settings.port,
            "trusted_proxies": list(settings.trusted_proxies),
            "google_client_ids": list(settings.google_client_ids),
            "google_issuers": list(settings.google_issuers),
            "google_jwks_url": settings.google_jwks_url,
            "oidc_issuers": list(settings.oidc_issuers),
            "client_cert_header": settings.client_cert_header,
            "metrics_networks": list(settings.metrics_networks),
            "low_balance_wei": int(settings.low_balance * 10**18),
            "undo_days": settings.undo_days,
            "metrics_directory": str(self.layout.metrics),
            "max_connections": self.settings.max_connections,
            "max_connections_per_address": self.settings.max_connections_per_address,
            "rate_limits": dict(settings.rate_limits),
            "processes": settings.workers,
            "mail_from": settings.mail_from,
            "audit_head_seconds": settings.audit_head_seconds,
            "version": __version__,
            "log_level": settings.log_level,
        }

    def _app_confinement(self, urls: Urls) -> Confinement:
        readable = (*self._visible(urls.app), str(self.layout.run), str(self.layout.signer_socket.parent.parent))
        readable = (*readable, *authorities().values())
        return Confinement(self.identities.app, readable, (str(self.layout.metrics),), directory=str(ROOT))

    def _visible(self, url: str | None) -> tuple[str, ...]:
        host = "" if url is None else make_url(url).query.get("host", "")
        sockets = (host,) if isinstance(host, str) and host.startswith("/") else ()
        return tuple(path for path in (*program_paths(), *sockets) if Path(path).exists())

    def _write_config(self, name: str, config: dict[str, Any], uid: int | None) -> Path:
        path = self.layout.config(name)
        write_secret(path, json.dumps(config), uid if os.geteuid() == 0 else None)
        return path

    def _python(self, module: str, config: Path) -> list[str]:
        return [sys.executable, "-m", module, "--config", str(config)]

    def _own(
        self, name: str, command: list[str], confinement: Confinement, *descriptors: int, **environment: str
    ) -> Child:
        """A process of ours, which keeps a lifeline."""
        line = os.memfd_create(f"talon-{name}")
        command = [*command, "--lifeline", str(line)]
        child = self._child(name, command, confinement, *descriptors, line, **environment)
        child.lifeline = Lifeline(line)
        if name.startswith("signer"):
            # one thread does everything, and waits for a token that may be slow
            child.bound_s = SIGNER_SILENT_S
        return child

    def _child(
        self, name: str, command: list[str], confinement: Confinement, *descriptors: int, **environment: str
    ) -> Child:
        whole = {**BASIC_ENVIRONMENT, **environment}
        return Child(name, command, confinement, self.layout.logs / f"{name}.log", whole, descriptors)
