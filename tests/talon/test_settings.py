"""The environment becomes one value; a variable that cannot be understood is named in a sentence, its value never."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.settings import Settings, SettingsError
from talon.settings.near import distance


def test_nothing_set_means_the_documented_defaults() -> None:
    settings = Settings.from_environment({})
    assert (settings.host, settings.port, settings.anvil_port) == ("127.0.0.1", 8000, 8545)
    assert (str(settings.home), settings.workers, settings.signers) == (".talon", 1, 1)
    assert settings.base_url == "http://127.0.0.1:8000"


def test_empty_means_unset_and_foreign_variables_are_nobodys_business() -> None:
    assert Settings.from_environment({"TALON_PORT": " ", "PORT": "1", "TALON_SOAK": "1"}) == Settings()


def test_lists_and_chains_are_taken_apart() -> None:
    settings = Settings.from_environment(
        {
            "TALON_RPC_1": "https://one.example/key, https://two.example",
            "TALON_RPC_31337": "http://127.0.0.1:1",
            "TALON_TRUSTED_PROXIES": "10.0.0.0/8,127.0.0.1",
            "TALON_RATE_LIMIT_AUTH": "1000/minute",
        }
    )
    assert settings.rpc_urls == {1: ["https://one.example/key", "https://two.example"], 31337: ["http://127.0.0.1:1"]}
    assert settings.trusted_proxies == ("10.0.0.0/8", "127.0.0.1")
    assert settings.rate_limits == {"auth": "1000/minute"}


@pytest.mark.parametrize(
    ("name", "value", "means"),
    [
        ("TALON_PORT", " 9000 ", 9000),
        ("TALON_HOST", "[::1]", "::1"),
        ("TALON_HOST", "talon.internal", "talon.internal"),
        ("TALON_HOME", "~/talon", Path.home() / "talon"),
        ("TALON_EPOCH_DIRECTORY", "off", "off"),
        ("TALON_EPOCH_DIRECTORY", "~/epoch", str(Path.home() / "epoch")),
        ("TALON_LOW_BALANCE", "0.5", Decimal("0.5")),
        ("TALON_LOG_LEVEL", "WARNING", "warning"),
        ("TALON_REDIS_URL", "rediss://:pw@cache:6379/1?timeout=5", "rediss://:pw@cache:6379/1?timeout=5"),
        ("TALON_REDIS_URL", "unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("TALON_SMTP_URL", "smtps://u:p%40w@mail", "smtps://u:p%40w@mail"),
        ("TALON_MAIL_FROM", "noreply@example.org", "noreply@example.org"),
        ("TALON_PUBLIC_URL", "https://talon.example.org/vault", "https://talon.example.org/vault"),
        ("TALON_GOOGLE_ISSUERS", "accounts.google.com", ("accounts.google.com",)),
        ("TALON_OIDC_ISSUERS", "https://a.example/,http://127.0.0.1:9", ("https://a.example/", "http://127.0.0.1:9")),
        ("TALON_DATABASE_URL", "postgres://u:p%40w@db/talon?sslmode=require", ...),
        ("TALON_DATABASE_URL", "postgresql:///talon?host=/run/pg", ...),
        ("TALON_CLIENT_CERT_HEADER", "X-Client-Cert", "X-Client-Cert"),
        ("TALON_METRICS_NETWORKS", "::1,10.0.0.1/8", ("::1", "10.0.0.1/8")),
    ],
)
def test_what_is_meant_is_understood(name: str, value: str, means: object) -> None:
    read = getattr(Settings.from_environment({name: value}), name.removeprefix("TALON_").lower())
    assert read == (value if means is ... else means)


NUMBER = "must be a whole number from"
BAD_VALUES = [
    ("TALON_PORT", "eighty", f"{NUMBER} 1 to 65535"),
    ("TALON_PORT", "0", f"{NUMBER} 1 to 65535"),
    ("TALON_PORT", "65536", f"{NUMBER} 1 to 65535"),
    ("TALON_PORT", "١٢٣", f"{NUMBER} 1 to 65535"),
    ("TALON_PORT", "9" * 5000, f"{NUMBER} 1 to 65535"),
    ("TALON_PORT", "tcp://10.1.2.3:8000", "was set by the cluster"),
    ("TALON_ANVIL_PORT", "-1", f"{NUMBER} 0 to 65535"),
    ("TALON_WORKERS", "0", f"{NUMBER} 1 to 64"),
    ("TALON_SIGNERS", "2.5", f"{NUMBER} 1 to 64"),
    ("TALON_UNDO_DAYS", "29", f"{NUMBER} 30 to 36500"),
    ("TALON_AUDIT_HEAD_SECONDS", "soon", f"{NUMBER} 1 to 86400"),
    ("TALON_MAX_CONNECTIONS", "4k", f"{NUMBER} 64 to 60000"),
    ("TALON_LOW_BALANCE", "NaN", "must be a decimal number"),
    ("TALON_LOW_BALANCE", "0,5", "must be a decimal number"),
    ("TALON_LOG_LEVEL", "loud", "must be debug, info, warning or error"),
    ("TALON_HOST", "0.0.0.0:8000", "must be an address or a host name, without a port"),
    ("TALON_HOST", "256.0.0.1", "must be an address or a host name"),
    ("TALON_HOME", "~nobody-by-that-name/talon", "begins with ~"),
    ("TALON_HOME", "/srv/talon\r", "has a character in it that cannot be seen"),
    ("TALON_EPOCH_DIRECTORY", "~nobody-by-that-name/epoch", "begins with ~"),
    ("TALON_TRUSTED_PROXIES", "10.0.0.0/33", "must be addresses or networks"),
    ("TALON_TRUSTED_PROXIES", "proxy.internal", "must be addresses or networks"),
    ("TALON_METRICS_NETWORKS", "10.0.0.0/8 ::1", "must be addresses or networks"),
    ("TALON_DATABASE_URL", "db:5432/talon", "must be a URL like postgresql://"),
    ("TALON_DATABASE_URL", "mysql://u:p@db/talon", "must be a URL like postgresql://"),
    ("TALON_DATABASE_URL", "postgresql://u:p@db:port/talon", "must be a URL like postgresql://"),
    ("TALON_DATABASE_URL", "postgresql://u:p@w@db/talon", "must be a URL like postgresql://"),
    ("TALON_REDIS_URL", "cache:6379", "must be a URL like redis://"),
    ("TALON_REDIS_URL", "redis://cache:six/0", "must be a URL like redis://"),
    ("TALON_REDIS_URL", "redis://cache/first", "must be a URL like redis://"),
    ("TALON_SMTP_URL", "mail.example.org:587", "must be a URL like smtp://"),
    ("TALON_SMTP_URL", "smtp://u:p#w@mail", "must be a URL like smtp://"),
    ("TALON_PUBLIC_URL", "talon.example.org", "must be an absolute URL"),
    ("TALON_PUBLIC_URL", "https://talon.example.org/?a=1", "must be a URL without user, query and fragment"),
    ("TALON_OIDC_ISSUERS", "https://a.example,login.example", "must be an absolute URL"),
    ("TALON_GOOGLE_ISSUERS", "ftp://accounts.google.com", "must be an absolute URL"),
    ("TALON_GOOGLE_JWKS_URL", "/certs", "must be an absolute URL"),
    ("TALON_GOOGLE_CLIENT_IDS", "one two", "must be names without blanks"),
    ("TALON_RPC_1", "one.example", "must be an absolute URL with http or https"),
    ("TALON_RPC_1", "http://", "must be an absolute URL with http or https"),
    ("TALON_RPC_1", "https://one.example, wss://two.example", "endpoint 2, must be an absolute URL"),
    ("TALON_RPC_1", ",", "names no endpoint"),
    ("TALON_RPC_MAINNET", "https://one.example", "names no chain"),
    ("TALON_RPC_9223372036854775808", "https://one.example", "names no chain"),
    ("TALON_RATE_LIMIT_AUTH", "often", "must be like"),
    ("TALON_RATE_LIMIT_NONSENSE", "5/second", "names no rate limit; there are AUTH, DEVICE"),
    ("TALON_ADMIN_EMAIL", "admin", "must be a mail address"),
    ("TALON_ADMIN_PASSWORD", "x" * 1025, "must have at most 1024 bytes"),
    ("TALON_MAIL_FROM", "nobody", "must be one sender"),
    ("TALON_MAIL_FROM", "a@b.example, c@d.example", "must be one sender"),
    ("TALON_CLIENT_CERT_HEADER", "Client Cert", "must be the name of an HTTP header"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), BAD_VALUES)
def test_a_senseless_value_is_refused_by_name(name: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({name: value})
    said = str(refused.value)
    assert said.startswith(name)
    assert sentence in said
    assert len(said.splitlines()) == 1
    # one that may be a secret, or part of one
    assert value not in said or value in name or value == ","


def test_every_variable_with_a_form_is_among_the_bad_values() -> None:
    tried = {name for name, _, _ in BAD_VALUES}
    anything = {"home", "anvil_binary", "pkcs11_module", "pkcs11_token", "pkcs11_pin_file"}
    twins = {"database_app_url", "database_signer_url", "max_connections_per_address"}
    many = {"rpc_urls", "rate_limits"}
    fields = set(Settings.model_fields) - anything - twins - many
    assert {f"TALON_{field.upper()}" for field in fields} <= tried


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"TALON_PORT": "8545"}, "TALON_PORT and TALON_ANVIL_PORT name the same port"),
        ({"TALON_PKCS11_MODULE": "/usr/lib/hsm.so"}, "TALON_PKCS11_PIN_FILE belong together"),
        ({"TALON_PKCS11_TOKEN": "talon"}, "TALON_PKCS11_PIN_FILE belong together"),
        ({"TALON_DATABASE_APP_URL": "postgresql://a@db/talon"}, "TALON_DATABASE_SIGNER_URL belong together"),
        (
            {
                "TALON_DATABASE_APP_URL": "postgresql://a@db/talon",
                "TALON_DATABASE_SIGNER_URL": "postgresql://s@db/talon",
            },
            "also need TALON_DATABASE_URL",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_by_name(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        Settings.from_environment(environment)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("TALON_PROT", "TALON_PORT"),
        ("TALON_WORKER", "TALON_WORKERS"),
        ("TALON_RCP_1", "TALON_RPC_1"),
        ("TALON_RPC1", "TALON_RPC_1"),
        ("TALON_DATABSE_UR", "TALON_DATABASE_URL"),
        ("TALON_RATE_LIMITS_AUTH", "TALON_RATE_LIMIT_AUTH"),
        ("TALON_SMPT_URL", "TALON_SMTP_URL"),
    ],
)
def test_a_slip_of_the_finger_stops_the_start(written: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=f"^{written} is no variable of Talon's; was {meant} meant"):
        Settings.from_environment({written: "1"})


def test_a_name_that_is_nowhere_near_is_only_told() -> None:
    environment = {"TALON_WHATEVER": "1", "TALON_FLAVOUR": "2", "TALON_PORT": "9000", "TALON_SOAK": "1"}
    assert Settings.from_environment(environment).port == 9000
    assert Settings.unread(environment) == ["TALON_FLAVOUR", "TALON_WHATEVER"]


# what Kubernetes sets for services named talon and talon-cache, and what clients are given
FOREIGN = {
    "TALON_SERVICE_HOST": "10.0.0.7",
    "TALON_SERVICE_PORT": "8000",
    "TALON_SERVICE_PORT_HTTP": "8000",
    "TALON_PORT_8000_TCP": "tcp://10.0.0.7:8000",
    "TALON_PORT_8000_TCP_PROTO": "tcp",
    "TALON_PORT_8000_TCP_PORT": "8000",
    "TALON_PORT_8000_TCP_ADDR": "10.0.0.7",
    "TALON_CACHE_SERVICE_HOST": "10.0.0.8",
    "TALON_CACHE_SERVICE_PORT": "6379",
    "TALON_CACHE_PORT": "tcp://10.0.0.8:6379",
    "TALON_CACHE_PORT_6379_TCP": "tcp://10.0.0.8:6379",
    "TALON_API_KEY": "k",
    "TALON_BASE_URL": "http://127.0.0.1:8000",
    "TALON_AGENT_ID": "a",
    "TALON_MCP_PII_DETECTION": "true",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_clusters_and_clients_set_is_known(name: str) -> None:
    environment = {name: FOREIGN[name]}
    assert Settings.from_environment(environment) == Settings()
    assert Settings.unread(environment) == []


@pytest.mark.parametrize(
    ("one", "other", "steps"),
    [("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("kitten", "sitting", 3), ("ca", "abc", 3), ("PORT", "PROT", 1)],
)
def test_distances_that_are_known(one: str, other: str, steps: int) -> None:
    assert distance(one, other) == steps


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_a_distance_is_the_same_both_ways_and_zero_only_of_equals(one: str, other: str) -> None:
    assert distance(one, other) == distance(other, one)
    assert (distance(one, other) == 0) == (one == other)
    assert distance(one, other) <= max(len(one), len(other))


def test_no_secret_is_shown() -> None:
    secret = "s3cr3t-value"
    settings = Settings.from_environment(
        {
            "TALON_DATABASE_URL": f"postgresql://u:{secret}@db/talon",
            "TALON_REDIS_URL": f"redis://:{secret}@cache:6379",
            "TALON_SMTP_URL": f"smtp://u:{secret}@mail",
            "TALON_ADMIN_PASSWORD": secret,
            "TALON_RPC_1": f"https://rpc.example/{secret}",
        }
    )
    assert settings.admin_password == secret
    assert secret not in repr(settings)
    assert secret not in str(settings)


@pytest.mark.parametrize(
    ("host", "url"),
    [("::", "http://127.0.0.1:8000"), ("::1", "http://[::1]:8000"), ("10.1.2.3", "http://10.1.2.3:8000")],
)
def test_the_base_url_is_one_a_client_can_use(host: str, url: str) -> None:
    assert Settings(host=host).base_url == url
