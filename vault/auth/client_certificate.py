"""A client's TLS certificate, as the proxy that ended the TLS connection passes it on in a header.

The header counts only from a trusted proxy itself (never by what X-Forwarded-For says), and only if there is
exactly one: anybody can send such a header, only the proxy can vouch that the client holds the key.
"""

import base64
import hashlib
import re
from datetime import UTC, datetime
from urllib.parse import unquote_to_bytes

from cryptography import x509
from fastapi import Request

from vault.auth.client_address import canonical, parse_networks, within
from vault.context import Options
from vault.errors import unauthorized

MAX_HEADER_CHARS = 32_768

# RFC 9440, section 2.1: an RFC 8941 byte sequence of the DER
_BYTE_SEQUENCE = re.compile(r":([A-Za-z0-9+/]+={0,2}):", re.ASCII)
_PEM = re.compile(
    rb"\s*-----BEGIN CERTIFICATE-----\s([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*",
)


def is_offered(request: Request, options: Options) -> bool:
    """Whether this may be meant as a log-in by certificate: it came through a trusted proxy, or has the header."""
    header = options.client_cert_header
    return header is not None and (_is_from_proxy(request, options) or header.lower() in request.headers)


def fingerprint_of(request: Request, options: Options) -> str:
    """SHA-256 of the client's certificate (lower-case hex); Problem 401 without one that counts now."""
    header = options.client_cert_header
    # a proxy that is trusted for X-Forwarded-For may pass on what clients send as this: the operator says it does not
    if header is None or not _is_from_proxy(request, options):
        raise unauthorized("A client certificate counts only through the operator's TLS proxy")
    values = request.headers.getlist(header)
    if not values:
        raise unauthorized("The TLS proxy passed no client certificate on")
    der = _der(values[0]) if len(values) == 1 else None
    certificate = _load(der) if der is not None else None
    if der is None or certificate is None:
        raise unauthorized("The client certificate that the TLS proxy passed on cannot be read")
    if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
        raise unauthorized("The client certificate has expired or is not valid yet")
    return hashlib.sha256(der).hexdigest()


def _is_from_proxy(request: Request, options: Options) -> bool:
    """Whether the other end of this very connection is a trusted proxy."""
    peer = canonical(request.client.host if request.client else "")
    return peer is not None and within(peer, parse_networks(options.trusted_proxies))


def _der(value: str) -> bytes | None:
    """The certificate's bytes in one of the two forms that proxies send; None for anything else."""
    value = value.strip()
    if len(value) > MAX_HEADER_CHARS or not value.isascii():
        return None
    try:
        if sequence := _BYTE_SEQUENCE.fullmatch(value):
            return base64.b64decode(sequence[1], validate=True)
        # nginx's $ssl_client_escaped_cert
        if pem := _PEM.fullmatch(unquote_to_bytes(value)):
            return base64.b64decode(b"".join(pem[1].split()), validate=True)
    except ValueError:
        return None
    return None


def _load(der: bytes) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, TypeError, x509.InvalidVersion):
        return None
