"""What libpq is told of a database's address."""

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL

from signer.link import conninfo


@pytest.mark.parametrize("password", ["with a space", "plus+and%20percent", "a'quote\\and@:/?#[]", "Ümlaut"])
@pytest.mark.parametrize("host", ["/a home/with spaces & ümlauts/pg", "/plain", "db.invalid"])
def test_a_password_and_a_path_arrive_as_they_are(password: str, host: str) -> None:
    query = {"host": host} if host.startswith("/") else {"sslmode": "require", "options": "-c a=b"}
    url = URL.create(
        "postgresql+psycopg",
        username="the signer",
        password=password,
        host=None if host.startswith("/") else host,
        port=None if host.startswith("/") else 6432,
        database="talon",
        query=query,
    ).render_as_string(hide_password=False)
    told = conninfo_to_dict(conninfo(url))
    assert (told["user"], told["password"], told["host"], told["dbname"]) == ("the signer", password, host, "talon")
    if not host.startswith("/"):
        assert (str(told["port"]), told["sslmode"], told["options"]) == ("6432", "require", "-c a=b")


def test_several_hosts_stay_several() -> None:
    told = conninfo_to_dict(conninfo("postgresql+psycopg://u:p@/talon?host=one&host=two&port=1&port=2"))
    assert (told["host"], told["port"]) == ("one,two", "1,2")
