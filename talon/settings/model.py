"""Everything that an operator may choose."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from talon.settings import read, urls, values

Path_ = Annotated[Path, BeforeValidator(values.path)]
Networks = Annotated[tuple[str, ...], BeforeValidator(values.networks)]
PostgresUrl = Annotated[str, BeforeValidator(urls.postgres)]


class Settings(BaseModel):
    """The `TALON_*` variables. Ports are TCP ports; an `anvil_port` of 0 means no local chain."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Path_ = Path(".talon")
    host: Annotated[str, BeforeValidator(values.host)] = "127.0.0.1"
    port: Annotated[int, BeforeValidator(values.whole(1, 65535))] = 8000
    anvil_port: Annotated[int, BeforeValidator(values.whole(0, 65535))] = 8545
    anvil_binary: Path_ | None = None
    database_url: PostgresUrl | None = Field(default=None, repr=False)
    # roles of their own on an external database; unset, everybody uses the owner's
    database_app_url: PostgresUrl | None = Field(default=None, repr=False)
    database_signer_url: PostgresUrl | None = Field(default=None, repr=False)
    redis_url: Annotated[str, BeforeValidator(urls.redis)] | None = Field(default=None, repr=False)
    pkcs11_module: Annotated[str, BeforeValidator(values.module)] | None = None
    pkcs11_token: str | None = None
    pkcs11_pin_file: Path_ | None = None
    # where the copy of the epoch outside the home is kept; unset, the usual place; "off" for none
    epoch_directory: Annotated[str, BeforeValidator(values.epoch_directory)] | None = None
    admin_email: Annotated[str, BeforeValidator(values.email)] = "admin@talon.local"
    admin_password: Annotated[str, BeforeValidator(values.password)] | None = Field(default=None, repr=False)
    smtp_url: Annotated[str, BeforeValidator(urls.smtp)] | None = Field(default=None, repr=False)
    mail_from: Annotated[str, BeforeValidator(values.sender)] = "Talon <noreply@talon.local>"
    public_url: Annotated[str, BeforeValidator(urls.page)] | None = None
    google_client_ids: Annotated[tuple[str, ...], BeforeValidator(values.words)] = ()
    google_issuers: Annotated[tuple[str, ...], BeforeValidator(urls.google_issuers)] = ()
    google_jwks_url: Annotated[str, BeforeValidator(urls.endpoint)] | None = None
    oidc_issuers: Annotated[tuple[str, ...], BeforeValidator(urls.issuers)] = ()
    client_cert_header: Annotated[str, BeforeValidator(values.header)] | None = None
    metrics_networks: Networks = ()
    # in the chain's currency, whichever it is
    low_balance: Annotated[Decimal, BeforeValidator(values.amount)] = Decimal("0.01")
    # after that the platform admin alone undoes what put something out of reach
    undo_days: Annotated[int, BeforeValidator(values.whole(30, 36_500))] = 30
    audit_head_seconds: Annotated[int, BeforeValidator(values.whole(1, 86_400))] = 60
    # endpoints may carry an operator's key
    rpc_urls: dict[int, list[str]] = Field(default_factory=dict, repr=False)
    workers: Annotated[int, BeforeValidator(values.whole(1, 64))] = 1
    signers: Annotated[int, BeforeValidator(values.whole(1, 64))] = 1
    trusted_proxies: Networks = ()
    # connections that one API process holds, in all and of one address that nobody has logged in from lately
    max_connections: Annotated[int, BeforeValidator(values.whole(64, 60_000))] = 4096
    max_connections_per_address: Annotated[int, BeforeValidator(values.whole(8, 60_000))] = 512
    rate_limits: dict[str, str] = Field(default_factory=dict)
    log_level: Annotated[str, BeforeValidator(values.level)] = "info"

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.port == self.anvil_port:
            raise ValueError("TALON_PORT and TALON_ANVIL_PORT name the same port: choose another for one of them")
        roles = self.database_app_url, self.database_signer_url
        if any(roles) and not all(roles):
            raise ValueError("TALON_DATABASE_APP_URL and TALON_DATABASE_SIGNER_URL belong together: set both or none")
        if any(roles) and self.database_url is None:
            raise ValueError("TALON_DATABASE_APP_URL and TALON_DATABASE_SIGNER_URL also need TALON_DATABASE_URL")
        hsm = self.pkcs11_module, self.pkcs11_token, self.pkcs11_pin_file
        if any(hsm) and not all(hsm):
            raise ValueError(
                "TALON_PKCS11_MODULE, TALON_PKCS11_TOKEN and TALON_PKCS11_PIN_FILE belong together: set all or none"
            )
        return self

    @property
    def base_url(self) -> str:
        """Where the API listens, as clients of this machine write it."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the `TALON_*` variables (empty means unset); SettingsError names one that cannot be understood."""
        return read.settings(cls, environment)

    @classmethod
    def unread(cls, environment: Mapping[str, str] | None = None) -> list[str]:
        """The variables that begin like ours, but that neither we nor anybody whom we know reads."""
        return read.unread(cls, environment)
