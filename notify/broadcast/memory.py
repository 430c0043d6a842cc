"""The backend for one process: what is published there arrives there, and nowhere else."""

import asyncio

from notify.broadcast.backend import InboxBackend


class MemoryBackend(InboxBackend):
    """Hands messages over inside the process, bounded by its inbox."""

    async def connect(self) -> None:
        """Be connected."""
        self._up.set()

    async def disconnect(self) -> None:
        """Be no longer connected."""
        self._up.clear()
        # broadcaster cancels its listener task and does not wait for it (seen in 0.3.1): let it end now.
        await asyncio.sleep(0)

    async def publish(self, channel: str, message: str) -> None:
        """Put a message into the inbox."""
        self._receive(channel, message)
