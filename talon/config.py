"""The part of the configuration that the supervisor hands to an API or worker process, as a 0600 file."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field


class ProcessConfig(BaseModel):
    """All that an API or worker process knows about its surroundings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # holds the database password
    database_url: str = Field(repr=False)
    signer_socket: str
    redis_url: str | None = Field(default=None, repr=False)
    # endpoints may carry an operator's key
    rpc_urls: dict[int, list[str]] = Field(default_factory=dict, repr=False)
    # whether the local chain is the one that the supervisor started
    owns_local_chain: bool = False
    public_url: str
    host: str
    port: int
    trusted_proxies: tuple[str, ...] = ()
    google_client_ids: tuple[str, ...] = ()
    google_issuers: tuple[str, ...] = ()
    google_jwks_url: str | None = None
    oidc_issuers: tuple[str, ...] = ()
    client_cert_header: str | None = None
    metrics_networks: tuple[str, ...] = ()
    low_balance_wei: int = 10**16
    undo_days: int = 30
    # where the counts of all API and worker processes are
    metrics_directory: str | None = None
    max_connections: int = 4096
    max_connections_per_address: int = 512
    rate_limits: dict[str, str] = Field(default_factory=dict)
    processes: int = 1
    # holds the mail server's password
    smtp_url: str | None = Field(default=None, repr=False)
    mail_from: str
    audit_head_seconds: int
    version: str
    log_level: str = "info"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Parse the file the supervisor wrote."""
        return cls.model_validate_json(path.read_bytes())
