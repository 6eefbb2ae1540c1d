"""Endpoint addresses: which may be stored, and how much of one may be shown. Pure."""

from urllib.parse import urlsplit

MAX_LENGTH = 2048
# provider keys in paths are 24 characters and more; network names in paths are shorter
LONGEST_HARMLESS_SEGMENT = 20

HTTP = ("http", "https")
WEBSOCKET = ("ws", "wss")


def fault_of(url: str, schemes: tuple[str, ...]) -> str | None:
    """Why `url` is no endpoint of one of `schemes`, in words that do not repeat it; None when it is one."""
    if len(url) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH} characters"
    if any(char.isspace() or not char.isprintable() for char in url):
        return "holds blanks or control characters"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is no URL"
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        return f"must be an absolute URL with {' or '.join(schemes)}"
    return None


def shown(url: str | None) -> str | None:
    """The URL as anybody may see it: user, query and key-like path segments are replaced by `***`."""
    if url is None:
        return None
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    segments = ["***" if len(segment) > LONGEST_HARMLESS_SEGMENT else segment for segment in parts.path.split("/")]
    query = "?***" if parts.query else ""
    return f"{parts.scheme}://{host}{'/'.join(segments)}{query}"
