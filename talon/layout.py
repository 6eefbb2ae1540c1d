"""Where things are under TALON_HOME, and which uid owns what.

The home itself is 0700: nobody but the supervisor walks in; children are shown only their own part of it.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from talon.postgres import short_directory

# numeric and unused on purpose: no account has to exist
SIGNER_UID = 64101
APP_UID = 64102
CHAIN_UID = 64103


@dataclass(frozen=True)
class Identities:
    """The uids of the children; None means: as the supervisor."""

    signer: int | None
    app: int | None
    chain: int | None


NOBODY_ELSE = Identities(None, None, None)
SEPARATE = Identities(SIGNER_UID, APP_UID, CHAIN_UID)


@dataclass(frozen=True)
class Layout:
    """The paths of one home (absolute)."""

    home: Path

    @property
    def postgres(self) -> Path:
        """Cluster and role passwords: the supervisor's."""
        return self.home / "postgres"

    @property
    def token(self) -> Path:
        """HSM token and PIN: the signer's."""
        return self.home / "token"

    @property
    def chain(self) -> Path:
        """State of the local chain."""
        return self.home / "chain"

    @property
    def logs(self) -> Path:
        """One file per child: the supervisor's."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Configuration files and sockets, each owned by who may use it."""
        return self.home / "run"

    @property
    def metrics(self) -> Path:
        """One file of counts per API or worker process and kind: theirs, and begun anew at every start."""
        return self.home / "metrics"

    @property
    def pids(self) -> Path:
        """Process ids of the running children, as JSON."""
        return self.home / "pids.json"

    @property
    def instance(self) -> Path:
        """Which instance lives here, as JSON: known without its database."""
        return self.home / "instance.json"

    @property
    def signer_socket(self) -> Path:
        """The signer's socket, under a name short enough for the kernel."""
        return short_directory(self.run / "signer") / "signer.sock"

    @property
    def pg_socket_dir(self) -> Path:
        """The directory of PostgreSQL's socket, by its real name."""
        return self.run / "pg"

    @property
    def pg_socket(self) -> Path:
        """The same under a name short enough for the kernel, for clients."""
        return short_directory(self.pg_socket_dir)

    def config(self, name: str) -> Path:
        """The configuration file of a kind of process."""
        return self.run / f"{name}.json"

    def create(self, identities: Identities) -> None:
        """Make the directories with their owners and modes (idempotent)."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home.chmod(0o700)
        for directory, mode, uid in (
            (self.logs, 0o700, None),
            (self.run, 0o711, None),
            (self.run / "signer", 0o700, identities.app),
            (self.pg_socket_dir, 0o711, None),
            (self.chain, 0o700, identities.chain),
            (self.metrics, 0o700, identities.app),
        ):
            directory.mkdir(mode=mode, exist_ok=True)
            directory.chmod(mode)
            own(directory, uid)
        for path in self.metrics.iterdir():
            # the API's own place: whatever it put there must not keep us from starting
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        for path in self.chain.iterdir():
            own(path, identities.chain)


def own(path: Path, uid: int | None) -> None:
    """Give a file to a uid (None: to us), when we are somebody who can."""
    if os.geteuid() == 0:
        os.chown(path, uid or 0, uid or 0, follow_symlinks=False)
