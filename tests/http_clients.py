"""Clients of the tests' own servers, over real sockets and in the clear."""

import ssl
from typing import Any

import httpx

from tests.patience import PATIENCE

#: To read the public authorities takes longer than most tests do, and nothing is encrypted here.
_TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def http_client(**given: Any) -> httpx.AsyncClient:  # noqa: ANN401  # httpx's own arguments
    """Make a client that waits long for an answer."""
    return httpx.AsyncClient(timeout=PATIENCE, verify=_TRUSTS_NOBODY, **given)
