"""Short, countable causes for system errors."""

from __future__ import annotations

import errno
import socket
import ssl

from sseload_users.transports import NotConnected

_CAUSES = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.ECONNABORTED: "connection reset",
    errno.ETIMEDOUT: "timed out",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ENETUNREACH: "network unreachable",
    errno.EADDRNOTAVAIL: "no free local port",
    errno.EADDRINUSE: "no free local port",
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files",
    errno.EAFNOSUPPORT: "no source address of this family",
}

# OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_HOSTNAME_MISMATCH and
# X509_V_ERR_IP_ADDRESS_MISMATCH.
_CERTIFICATE_CAUSES = {
    10: "certificate expired",
    62: "certificate for another host",
    64: "certificate for another host",
}


def cause_of(error: OSError) -> str:
    """Return a short, countable cause for a system error, without addresses or numbers."""
    if isinstance(error, NotConnected):
        return str(error)
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, socket.gaierror):
        return "no such host"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_CAUSES.get(error.verify_code, "certificate not trusted")
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or 'failed').lower().replace('_', ' ')}"
    if error.errno in _CAUSES:
        return _CAUSES[error.errno]
    return text_of(error).lower()


def text_of(error: Exception) -> str:
    """Return the system's message for an error, or at least the error's type."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
