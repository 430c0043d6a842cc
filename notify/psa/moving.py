"""A PSA whose API moves: where it lies is looked up, remembered, and looked up again when it is not there."""

from abc import ABC, abstractmethod
from typing import ClassVar

from notify.psa.faults import PsaFault, PsaRefused
from notify.psa.http import Answer, Web
from notify.psa.port import Access


class MovingPsa(ABC):
    """One turn with it. Each request that meets the sign of a move is made once more where it lies now."""

    #: Under which word the place is remembered for the next turns.
    _memory_key: ClassVar[str]
    #: The HTTP status that may mean that the API has moved.
    _moved_code: ClassVar[int]

    def __init__(self, access: Access, web: Web, headers: dict[str, str]) -> None:
        self._access = access
        self._web = web
        self._headers = headers

    @abstractmethod
    async def _find_api(self) -> str:
        """Look up where the API lies.

        Raises:
            PsaFault: it does not say so, or names a place that is not its own.
        """

    async def _read(self, path: str, **params: str | int) -> Answer:
        try:
            return await self._web.read(f"{await self._api()}{path}", self._headers, **params)
        except PsaRefused as fault:
            if not await self._has_moved(fault):
                raise
        return await self._web.read(f"{await self._api()}{path}", self._headers, **params)

    async def _write(self, path: str, document: object) -> Answer:
        try:
            return await self._web.write(f"{await self._api()}{path}", self._headers, document)
        except PsaRefused as fault:
            if not await self._has_moved(fault):
                raise
        return await self._web.write(f"{await self._api()}{path}", self._headers, document)

    async def _has_moved(self, fault: PsaFault) -> bool:
        if fault.code != self._moved_code:
            return False
        before = self._access.memory.pop(self._memory_key, None)
        return await self._api() != before

    async def _api(self) -> str:
        memory = self._access.memory
        if self._memory_key not in memory:
            memory[self._memory_key] = await self._find_api()
        return memory[self._memory_key]
