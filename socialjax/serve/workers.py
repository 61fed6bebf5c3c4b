"""Threads that compute answers: few, with a short queue, and nobody waits for ever."""

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any

from socialjax import memory

THREADS = 2
QUEUE = 64  # calls that run or wait; more are refused at once
SECONDS = 30.0
LOOK = 256  # calls after which the memory maps of compiled programs are counted


class Busy(Exception):
    """Too many calls wait, or one took too long. The message is for the client."""


class Workers:
    """Runs calls in threads of their own, so that the event loop goes on answering.

    XLA and NumPy release the interpreter's lock while they compute; more threads than cores gain nothing, and make
    every answer wait for all others.

    Args:
        threads: that compute at a time.
        queue: calls that run or wait at most.
        seconds: after which a client is told that there is no answer; the thread ends its call all the same.
    """

    def __init__(self, threads: int = THREADS, queue: int = QUEUE, seconds: float = SECONDS):
        self.queue, self.seconds = queue, seconds
        self.waiting = 0
        self._calls = 0
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="answers")

    async def __call__(self, function: Callable, *arguments: Any) -> Any:
        """The function's value.

        Raises:
            Busy: the queue is full, or the time is over.
            Exception: what the function raises.
        """
        if self.waiting >= self.queue:
            raise Busy(f"{self.waiting} questions are waiting already; ask again in a second")
        self.waiting += 1
        self._calls += 1
        if self._calls % LOOK == 0:
            self._pool.submit(memory.release_programs)
        future = asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)
        future.add_done_callback(self._done)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self.seconds)
        except TimeoutError:
            future.add_done_callback(lambda late: late.cancelled() or late.exception())  # nobody asks for it any more
            raise Busy(f"no answer within {self.seconds:g} s; ask for less, or again later") from None

    def _done(self, _future) -> None:
        self.waiting -= 1

    def close(self) -> None:
        """Calls that wait are given up; those that run go on to their end."""
        self._pool.shutdown(wait=False, cancel_futures=True)
