"""The environment becomes one value; a bad variable is named, its value never shown."""

import pytest

from talon.settings import Settings, SettingsError


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
    ("name", "value"),
    [
        ("TALON_PORT", "eighty"),
        ("TALON_PORT", "0"),
        ("TALON_PORT", "65536"),
        ("TALON_ANVIL_PORT", "-1"),
        ("TALON_WORKERS", "0"),
        ("TALON_SIGNERS", "2.5"),
        ("TALON_LOG_LEVEL", "loud"),
        ("TALON_UNDO_DAYS", "29"),
    ],
)
def test_a_senseless_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({name: value})
    assert name in str(refused.value)


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
