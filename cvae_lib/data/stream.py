"""Batches made ahead of their use by other threads, so that training does not wait for a disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Order = TypeVar("Order")
Batch = TypeVar("Batch")

AHEAD = 3  # batches


def prefetched(
    make: Callable[[Order], Batch], orders: Iterable[Order], ahead: int = AHEAD
) -> Generator[Batch]:
    """Yield ``make(order)`` for each order, in turn; threads make up to ``ahead`` more meanwhile.

    What ``make`` raises is raised here, in its turn. Closing the iterator ends the threads.
    """
    waiting: deque[Future[Batch]] = deque()
    pool = ThreadPoolExecutor(ahead, "prefetch")
    try:
        for order in orders:
            waiting.append(pool.submit(make, order))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
