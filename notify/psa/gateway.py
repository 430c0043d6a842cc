"""How a process reaches PSAs: the keys of their credentials, and the guards of its requests."""

import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from db.enums import PsaProvider
from db.psa_connections import PsaConnectionRow
from notify.psa.addresses import AllowedHosts
from notify.psa.autotask import Autotask
from notify.psa.connectwise import ConnectWise
from notify.psa.halopsa import HaloPsa
from notify.psa.http import REQUEST_SECONDS, Web
from notify.psa.port import Access, Connector
from notify.psa.vault import Vault

_CONNECTORS: dict[PsaProvider, Callable[[Access, Web], Connector]] = {
    PsaProvider.CONNECTWISE: ConnectWise,
    PsaProvider.AUTOTASK: Autotask,
    PsaProvider.HALOPSA: HaloPsa,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """What connectors are made with."""

    vault: Vault
    allowed: AllowedHosts
    tls: ssl.SSLContext
    now: Callable[[], datetime]
    request_seconds: float = REQUEST_SECONDS  #: the longest that one request may take

    def seal(self, connection: PsaConnectionRow, credentials: Mapping[str, str]) -> str:
        """Encrypt the credentials of a connection."""
        return self.vault.seal(connection.id, _goes_to(connection), credentials)

    @asynccontextmanager
    async def open(
        self, connection: PsaConnectionRow, sealed: str, memory: dict[str, str] | None = None
    ) -> AsyncIterator[Connector]:
        """Decrypt the credentials and begin a turn with the PSA, without connecting.

        Raises:
            CredentialsUnreadable: they cannot be decrypted.
        """
        credentials = self.vault.open(connection.id, _goes_to(connection), sealed)
        access = Access(
            connection_id=connection.id,
            base_url=connection.base_url,
            config=connection.config,
            credentials=credentials,
            memory={} if memory is None else memory,
        )
        web = Web(
            self.allowed,
            self.tls,
            self.now,
            secrets=tuple(credentials.values()),
            request_seconds=self.request_seconds,
        )
        try:
            yield _CONNECTORS[connection.provider](access, web)
        finally:
            await web.close()


def _goes_to(connection: PsaConnectionRow) -> str:
    """Return all that decides where credentials are sent, in one text."""
    return json.dumps([connection.provider.value, connection.base_url, connection.config], sort_keys=True)
