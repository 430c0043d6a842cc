"""Opens the address that people reach the service at."""

import asyncio
import socket
from contextlib import ExitStack

from server.settings import Settings, SettingsError


async def check_address(settings: Settings) -> None:
    """Try whether the address can be listened on.

    Raises:
        SettingsError: it is taken, or of another machine.
    """
    loop = asyncio.get_running_loop()
    try:
        listener = await loop.create_server(asyncio.Protocol, settings.host, settings.port)
    except OSError as error:
        raise _refusal(settings, error) from None
    listener.close()
    await listener.wait_closed()


def listen(settings: Settings) -> list[socket.socket]:
    """Listen on the address, for processes that share it; a name may stand for several addresses.

    Who connects before a process answers waits. One socket for all of them, and not one each by
    SO_REUSEPORT: where a process dies, those whom it had not accepted yet are accepted by another.

    Raises:
        SettingsError: it is taken, or of another machine.
    """
    with ExitStack() as opened:
        try:
            found = socket.getaddrinfo(
                settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            listeners = []
            for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
                listener = opened.enter_context(socket.create_server(address[:2], family=family))
                listener.setblocking(False)
                listeners.append(listener)
        except OSError as error:
            raise _refusal(settings, error) from None
        opened.pop_all()
    return listeners


def _refusal(settings: Settings, error: OSError) -> SettingsError:
    # asyncio puts the address before the reason, `socket.create_server` puts it behind.
    reason = str(error.strerror).rpartition("): ")[2].partition(" (while")[0].lower()
    return SettingsError(
        f"cannot listen on {settings.host}, port {settings.port}: {reason}. "
        "Set HANDOFF_HOST and HANDOFF_PORT to an address of this machine and a free port."
    )
