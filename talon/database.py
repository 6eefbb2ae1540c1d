"""Where the database is and as whom each kind of process enters it."""

from dataclasses import dataclass, field

from sqlalchemy import make_url

from talon.settings import Settings


@dataclass(frozen=True)
class Urls:
    """One database URL per kind of process (SQLAlchemy's form, psycopg 3)."""

    owner: str = field(repr=False)
    app: str = field(repr=False)
    signer: str = field(repr=False)

    @property
    def has_roles(self) -> bool:
        """Whether app and signer have roles of their own."""
        return self.app != self.owner


def external(settings: Settings) -> Urls | None:
    """The operator's own database; None when Talon brings one along."""
    if settings.database_url is None:
        return None
    owner = with_driver(settings.database_url)
    if settings.database_app_url is None or settings.database_signer_url is None:
        return Urls(owner, owner, owner)
    return Urls(owner, with_driver(settings.database_app_url), with_driver(settings.database_signer_url))


def with_driver(url: str) -> str:
    """A PostgreSQL URL for SQLAlchemy with psycopg 3."""
    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
