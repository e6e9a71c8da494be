"""A TCP proxy before a hub, that is slow, silent or cut off when a test wants it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from share.hubs import Hub


class Proxy:
    """Passes on what comes, in a thread of its own."""

    def __init__(self, hub: Hub) -> None:
        self.delay = 0.0
        """Seconds for which each piece is kept, in each direction."""
        self.stalled = False
        """Nothing is read any more: the windows of both sides fill up."""
        self.hub = hub
        """Where new connections lead."""
        self._name = hub
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.join()

    def url(self, node: str) -> str:
        """As it goes into share.hubs."""
        return self._name.url(node).replace(f":{self._name.port}", f":{self.port}")

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        self._do(self._cut())

    def join(self) -> None:
        """Take connections, at the same port as before."""
        self._do(self._open())

    def close(self) -> None:
        """End it."""
        self.cut()
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _end(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far = await asyncio.open_connection("127.0.0.1", self.hub.port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far[1]}
        await asyncio.gather(self._pass(reader, far[1]), self._pass(far[0], writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await asyncio.sleep(self.delay)
                while self.stalled:
                    await asyncio.sleep(0.05)
                writer.write(data)
                await writer.drain()
        writer.close()
        self._writers.discard(writer)


@contextmanager
def proxy(hub: Hub) -> Iterator[Proxy]:
    """One that ends with the block."""
    made = Proxy(hub)
    try:
        yield made
    finally:
        made.close()
