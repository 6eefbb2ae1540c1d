"""Which limits there are and what an operator may write."""

import pytest

from talon.settings import Settings, SettingsError
from vault.limits import counters
from vault.limits.names import NAMES, parse_limit, parse_limits
from vault.limits.routes import limits_of


def test_every_default_can_be_read() -> None:
    assert set(parse_limits({})) == set(NAMES)


@pytest.mark.parametrize(
    ("text", "parts"), [("5/second", 1), ("200/2 second", 1), ("10/minute; 100/hour", 2), ("off", 0), (" OFF ", 0)]
)
def test_what_may_be_written(text: str, parts: int) -> None:
    assert len(parse_limit("auth", text)) == parts


@pytest.mark.parametrize("text", ["many", "0/second", "5", "5/second nonsense", "-1/second", "5/fortnight", "none"])
def test_a_bad_value_is_refused_at_start_and_names_its_variable(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^TALON_RATE_LIMIT_AUTH must "):
        Settings.from_environment({"TALON_RATE_LIMIT_AUTH": text})


def test_an_unknown_limit_is_refused_at_start() -> None:
    with pytest.raises(SettingsError, match=r"^TALON_RATE_LIMIT_AUHT is no .* was TALON_RATE_LIMIT_AUTH meant\?"):
        Settings.from_environment({"TALON_RATE_LIMIT_AUHT": "5/second"})


@pytest.mark.parametrize("url", ["localhost", "redis://", "http://localhost:6379", "unix://"])
def test_an_address_that_is_no_redis_server_is_refused_at_start(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^TALON_REDIS_URL must "):
        Settings.from_environment({"TALON_REDIS_URL": url})


@pytest.mark.parametrize(
    ("method", "path", "names"),
    [
        ("POST", "/v1/auth/token", ("login",)),
        ("GET", "/login", ("login",)),
        ("POST", "/login", ("login",)),
        ("POST", "/v1/auth/agent-token", ("ip", "auth")),
        ("DELETE", "/v1/auth/token", ("ip",)),
        ("POST", "/v1/auth/signup", ("ip", "auth")),
        ("POST", "/v1/agents/enroll", ("ip", "auth")),
        ("POST", "/v1/auth/mfa/verify", ("login",)),
        ("POST", "/v1/auth/device/token", ("ip", "device")),
        ("GET", "/v1/auth/me", ("ip",)),
        ("POST", "/v1/auth/api-keys", ("ip",)),
        ("GET", "/v1/vaults", ("ip",)),
        ("GET", "/v1/health", ()),
        ("GET", "/metrics", ()),
    ],
)
def test_which_limits_a_request_counts_against(method: str, path: str, names: tuple[str, ...]) -> None:
    assert limits_of(method, path) == names


@pytest.mark.parametrize(
    ("url", "known_as"),
    [
        ("redis://:pass%2Fword@cache", "async+redis://:pass%2Fword@cache:6379"),
        ("rediss://cache:7000/3", "async+rediss://cache:7000/3"),
        ("redis://[::1]/1", "async+redis://[::1]:6379/1"),
        ("unix:///run/redis.sock", "async+redis+unix:///run/redis.sock"),
    ],
)
def test_where_redis_is(url: str, known_as: str) -> None:
    assert Settings.from_environment({"TALON_REDIS_URL": url}).redis_url == url
    assert counters._as_the_library_wants_it(url) == known_as
