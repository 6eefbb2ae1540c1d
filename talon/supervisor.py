"""The supervisor: starts the embedded parts and the processes, keeps them alive, and stops them all in order.

Synchronous and single-threaded on purpose: children die with the thread that started them, so this has to be the
main one. Times in seconds.
"""

import asyncio
import contextlib
import http.client
import json
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TypeVar
from uuid import UUID

from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from anvil.chain import check_port, find_binary
from talon import epoch
from talon.children import ANVIL_CHAIN_ID, Children, choose_identities
from talon.database import Urls, external
from talon.home import home_lock
from talon.layout import Layout, own
from talon.logs import Logs
from talon.migrate import upgrade
from talon.postgres import EmbeddedPostgres
from talon.postgres_part import PostgresPart
from talon.processes import stop_all
from talon.settings import Settings
from talon.start_checks import listen, look_at_files, require_token, wait_for_database, wait_for_disk
from talon.tend import CHECK_S, Tender
from talon.token import TokenInfo, init_token
from vault.trouble import trouble

T = TypeVar("T")

HEALTH_TIMEOUT_S = 5.0
# before an external database is asked again that was there and then failed
AGAIN_S = 1.0
# while it gets ready, how often it looks; and from when on it says what it waits for
LOOK_S = 0.1
PATIENCE_S = 15.0
# the API finishes its requests within 10 s
STOP_APP_S = 12.0
STOP_REST_S = 6.0
BACKLOG = 2048
# what people who sign up must choose at least
MIN_ADMIN_PASSWORD = 12


class SupervisorError(Exception):
    """Talon cannot start or go on; the text is for the operator."""


class StopRequested(BaseException):
    """SIGINT or SIGTERM came: raised in the main thread, wherever it is."""


class Supervisor:
    """One running instance. `say` gets the lines for the operator."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.settings = settings
        self.layout = Layout(settings.home.absolute())
        self.tender: Tender | None = None
        self.postgres: EmbeddedPostgres | None = None
        self._say = say
        # held open for as long as we live: a child started again inherits the same one
        self.listeners: list[socket.socket] = []
        self.logs = Logs((self.layout.logs, self.layout.postgres))

    def run(self) -> None:
        """Start, say `ready URL`, keep alive until SIGINT or SIGTERM, stop. SupervisorError, ChildKeepsDying."""
        with stop_signals(), home_lock(self.layout.home):
            try:
                tender = self.start()
                self.say(f"ready {self.settings.base_url}")
                while True:
                    self._tend(tender)
            except StopRequested:
                self.say("stopping")
            except OSError as error:
                # a full disk at the start, for one: what runs already minds none of these
                where = f" ({error.filename})" if error.filename else ""
                raise SupervisorError(f"cannot go on: {(error.strerror or str(error)).lower()}{where}") from error
            finally:
                self.stop()

    def say(self, line: str) -> None:
        """A line for the operator; whether he hears it (a closed terminal, a full disk) changes nothing."""
        with contextlib.suppress(OSError):
            self._say(line)

    def start(self) -> Tender:
        """Bring everything up; returns when /v1/health answers healthy."""
        settings, layout = self.settings, self.layout
        # 1. What is cheapest to fail on first.
        look_at_files(settings)
        wait_for_disk(layout.home, self.say)
        require_token(settings)
        api_listener = listen(settings.host, settings.port, BACKLOG)
        self.listeners.append(api_listener)
        identities = choose_identities(layout, self.say)
        layout.create(identities)
        tender = self.tender = Tender(layout.home, layout.pids, self.say)
        make = Children(settings, layout, identities, tender.report)
        # 2. The embedded parts.
        if settings.anvil_port:
            check_port(settings.anvil_port)
            tender.launch(make.anvil(settings.anvil_binary or find_binary()))
        access = make.token_access(self._token(identities.signer))
        with make.token_reader(access) as in_token:
            urls = self._database(tender)
            # 3. The schema, before anybody looks at it; and whether this database is an older copy.
            self._migrate(urls)
            started = self._count_start(urls, identities.signer, in_token())
        # 4. The processes; the signer's socket is ours, so it survives a signer.
        signer_listener = self._listen_unix(identities.app)
        self.listeners.append(signer_listener)
        signers = make.signers(urls, access, signer_listener, started.file)
        for child in (*signers, *make.apis(urls, api_listener), make.worker(urls)):
            tender.launch(child)
        # 5. First inhabitants.
        self._in_database(urls, lambda: asyncio.run(self._populate(urls)))
        self._wait_until_healthy(tender)
        return tender

    def stop(self) -> None:
        """Stop all in order: who takes requests first, who holds data last. Bounded by the sum of the timeouts."""
        parts = [part for part in (self.tender.parts if self.tender else ()) if not isinstance(part, PostgresPart)]
        app = [part for part in parts if part.name.startswith(("api", "worker"))]
        stop_all(app, STOP_APP_S)
        stop_all([part for part in parts if part not in app], STOP_REST_S)
        if self.postgres is not None:
            self.postgres.stop()
        with contextlib.suppress(OSError):
            self.layout.pids.unlink(missing_ok=True)

    def _listen_unix(self, app_uid: int | None) -> socket.socket:
        path = self.layout.signer_socket
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        path.chmod(0o600)
        own(path, app_uid)
        listener.listen(BACKLOG)
        return listener

    def _token(self, uid: int | None) -> TokenInfo:
        settings = self.settings
        if settings.pkcs11_module is None:
            return init_token(self.layout.token, uid=uid)
        # the settings have all three or none
        assert settings.pkcs11_token is not None
        assert settings.pkcs11_pin_file is not None
        pin_file = settings.pkcs11_pin_file.absolute()
        return TokenInfo(
            settings.pkcs11_module, settings.pkcs11_token, pin_file, None, self.layout.run / "signer.lock"
        )

    def _database(self, tender: Tender) -> Urls:
        urls = external(self.settings)
        if urls is None:
            self.postgres = EmbeddedPostgres(self.layout.postgres, self.layout.pg_socket_dir, self.settings.workers)
            embedded = self.postgres.start()
            tender.adopt(PostgresPart(self.postgres))
            return Urls(embedded.owner, embedded.app, embedded.signer)
        if not urls.has_roles:
            self.say("warning: every process uses TALON_DATABASE_URL; set TALON_DATABASE_APP_URL and")
            self.say("         TALON_DATABASE_SIGNER_URL to two other roles, so that the database separates them")
        wait_for_database(urls, self.say)
        return urls

    def _in_database(self, urls: Urls, step: Callable[[], T]) -> T:
        """A step of the setting up; what the database says against it ends the start, but for an external one's
        trouble, which passes: SupervisorError."""
        while True:
            try:
                return step()
            except DBAPIError as error:
                why = trouble(error)
                if why is None or self.settings.database_url is None:
                    # the statement and the URL stay out
                    said = (str(error.orig).strip().splitlines() or ["no reason given"])[0]
                    raise SupervisorError(
                        f"the database cannot be set up: {said} (see docs/external-parts.md)"
                    ) from error
            self.say(f"waiting: {why.lower()}")
            time.sleep(AGAIN_S)
            wait_for_database(urls, self.say)

    def _migrate(self, urls: Urls) -> None:
        app, signer = make_url(urls.app).username, make_url(urls.signer).username
        roles = (app, signer) if urls.has_roles else (None, None)
        self._in_database(urls, lambda: upgrade(urls.owner, *roles))

    def _count_start(self, urls: Urls, signer_uid: int | None, in_token: dict[UUID, int]) -> epoch.Started:
        directory = epoch.directory_of(self.settings, self.layout.home, self.say)
        started = self._in_database(urls, lambda: epoch.start(urls.owner, directory, signer_uid, in_token))
        if directory is not None and started.file is None:
            self.say(
                f"warning: the epoch cannot be kept in {directory}, so an older home that is put back by hand is"
            )
            self.say("         noticed by its chains alone; see TALON_EPOCH_DIRECTORY in README.md")
        if started.frozen is not None:
            self.say(f"frozen: nothing is signed: {started.frozen} What to do stands in docs/backup.md")
        fresh = self.layout.instance.with_suffix(".new")
        fresh.write_text(json.dumps({"id": str(started.instance_id)}))
        fresh.rename(self.layout.instance)
        return started

    async def _populate(self, urls: Urls) -> None:
        """The first human and the default chains; both leave alone what is there already."""
        # imported while the processes, already launched, import the same: a second sooner ready
        from vault.auth import first_human
        from vault.auth.emails import normalise
        from vault.db import Database
        from vault.networks.service import seed_chains

        settings = self.settings
        database = Database(urls.app, pool_size=2)
        password = settings.admin_password or secrets.token_urlsafe(18)
        created = await first_human.create(database, settings.admin_email, password)
        # said before anything else can fail: nobody can say it again
        if created and settings.admin_password is None:
            self.say(f"first human: {settings.admin_email}, password {password} (shown once)")
        async with database.begin() as connection:
            first = await first_human.find(connection)
            url = f"http://127.0.0.1:{settings.anvil_port}" if settings.anvil_port else None
            # the operator's own, if he names one
            await seed_chains(
                connection, with_anvil=url is not None or ANVIL_CHAIN_ID in settings.rpc_urls, anvil_rpc_url=url
            )
        await database.close()
        named = normalise(settings.admin_email) if "admin_email" in settings.model_fields_set else None
        if first is not None and named not in {None, first.email}:
            self.say(f"TALON_ADMIN_EMAIL counts for the first start only: the first human is {first.email}")
            self.say("         (talon admin change-email gives the account another address)")
        if created and settings.admin_password is not None and len(settings.admin_password) < MIN_ADMIN_PASSWORD:
            self.say("warning: TALON_ADMIN_PASSWORD is short; change it before others reach this port")

    def _wait_until_healthy(self, tender: Tender) -> None:
        """However long it takes: what may pass is waited for, and what does not ends the wait with its sentence."""
        began, said = time.monotonic(), ""
        while True:
            waits_for = [f"{part.name} is not ready" for part in tender.parts if not part.ready] or self._unwell()
            if not waits_for:
                return
            if time.monotonic() - began > PATIENCE_S and said != waits_for[0]:
                said = waits_for[0]
                self.say(f"not ready yet: {said}")
            self._tend(tender, LOOK_S)

    def _tend(self, tender: Tender, at_most_s: float = CHECK_S) -> None:
        tender.tend(at_most_s)
        # a full disk is the last thing to trim logs on, and no reason to end; also while it gets ready for days
        with contextlib.suppress(OSError):
            self.logs.look()

    def _unwell(self) -> list[str]:
        """Why /v1/health is not healthy; nothing when it is."""
        address = self.settings.base_url.removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=HEALTH_TIMEOUT_S)
        try:
            connection.request("GET", "/v1/health")
            answer = json.loads(connection.getresponse().read())
            return [] if answer["status"] == "healthy" else list(answer.get("reasons") or ["degraded"])
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            return [f"/v1/health does not answer ({type(error).__name__})"]
        finally:
            connection.close()


@contextlib.contextmanager
def stop_signals() -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into StopRequested; further ones change nothing, stopping is bounded.

    SIGHUP is ignored: a terminal that is closed does not take down what holds keys and follows transactions.
    """

    def request(_number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda *_: None)
        raise StopRequested

    before = {each: signal.signal(each, request) for each in (signal.SIGINT, signal.SIGTERM)}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
