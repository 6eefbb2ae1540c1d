"""The only place that reads the environment: it becomes one frozen value that is handed on in parts."""

import os
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vault.limits.names import parse_limit

PREFIX = "TALON_"
RPC = re.compile(r"TALON_RPC_([1-9][0-9]{0,18})")
RATE_LIMIT_PREFIX = "TALON_RATE_LIMIT_"
LISTS = ("trusted_proxies", "google_client_ids", "google_issuers", "oidc_issuers", "metrics_networks")


class SettingsError(Exception):
    """A variable has a value that makes no sense; the text names the variable, never the value."""


class Settings(BaseModel):
    """Everything an operator may choose. Ports are TCP ports; an `anvil_port` of 0 means no local chain."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Path = Path(".talon")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    anvil_port: int = Field(default=8545, ge=0, le=65535)
    anvil_binary: Path | None = None
    database_url: str | None = Field(default=None, repr=False)
    # roles of their own on an external database; unset, everybody uses the owner's
    database_app_url: str | None = Field(default=None, repr=False)
    database_signer_url: str | None = Field(default=None, repr=False)
    redis_url: str | None = Field(
        default=None, pattern=r"^(rediss?://[^/\s]+(/\d*)?(\?\S*)?|unix:///\S+)$", repr=False
    )
    pkcs11_module: str | None = None
    pkcs11_token: str | None = None
    pkcs11_pin_file: Path | None = None
    admin_email: str = "admin@talon.local"
    admin_password: str | None = Field(default=None, repr=False)
    smtp_url: str | None = Field(default=None, pattern=r"^smtps?://[^/]+$", repr=False)
    mail_from: str = "Talon <noreply@talon.local>"
    public_url: str | None = None
    google_client_ids: tuple[str, ...] = ()
    google_issuers: tuple[str, ...] = ()
    google_jwks_url: str | None = None
    oidc_issuers: tuple[str, ...] = ()
    client_cert_header: str | None = None
    metrics_networks: tuple[str, ...] = ()
    # in the chain's currency, whichever it is
    low_balance: Decimal = Field(default=Decimal("0.01"), ge=0, le=10**9)
    # after that the platform admin alone undoes what put something out of reach
    undo_days: int = Field(default=30, ge=30, le=36_500)
    audit_head_seconds: int = Field(default=60, ge=1, le=86_400)
    # endpoints may carry an operator's key
    rpc_urls: dict[int, list[str]] = Field(default_factory=dict, repr=False)
    workers: int = Field(default=1, ge=1, le=64)
    signers: int = Field(default=1, ge=1, le=64)
    trusted_proxies: tuple[str, ...] = ()
    # connections that one API process holds, in all and of one address that nobody has logged in from lately
    max_connections: int = Field(default=4096, ge=64, le=60_000)
    max_connections_per_address: int = Field(default=512, ge=8, le=60_000)
    rate_limits: dict[str, str] = Field(default_factory=dict)
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")

    @property
    def base_url(self) -> str:
        """Where the API listens, as clients of this machine write it."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the `TALON_*` variables (empty means unset); SettingsError names a bad or unknown one."""
        values: dict[str, object] = {}
        rpc_urls: dict[int, list[str]] = {}
        rate_limits: dict[str, str] = {}
        for name, value in (os.environ if environment is None else environment).items():
            if not name.startswith(PREFIX) or not value.strip():
                continue
            field = name.removeprefix(PREFIX).lower()
            if chain := RPC.fullmatch(name):
                rpc_urls[int(chain[1])] = _split(value)
            elif name.startswith(RATE_LIMIT_PREFIX):
                rate_limits[name.removeprefix(RATE_LIMIT_PREFIX).lower()] = _rate_limit(name, value)
            elif field in LISTS:
                values[field] = tuple(_split(value))
            elif field in cls.model_fields and field not in {"rpc_urls", "rate_limits"}:
                values[field] = value
        try:
            return cls.model_validate({**values, "rpc_urls": rpc_urls, "rate_limits": rate_limits})
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            raise SettingsError(f"{PREFIX}{'_'.join(map(str, first['loc'])).upper()}: {first['msg']}") from None


def _rate_limit(variable: str, value: str) -> str:
    try:
        parse_limit(variable.removeprefix(RATE_LIMIT_PREFIX).lower(), value)
    except ValueError as error:
        raise SettingsError(f"{variable}: {error}") from None
    return value


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]
