"""Read-ahead: preparing the next items in a thread while the present one is worked on."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

Item = TypeVar("Item")


def read_ahead(items: Iterator[Item], depth: int = 2) -> Generator[Item, None, None]:
    """Yield the items of an iterator, keeping up to `depth` of them ready.

    One thread does all the reading, so the iterator is never entered twice at a time. What it raises is raised
    here, after the items before it. Closing the generator ends the thread.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        ready: deque[Future[Item | object]] = deque(reader.submit(next, items, end) for _ in range(depth))
        try:
            while (item := ready.popleft().result()) is not end:
                ready.append(reader.submit(next, items, end))
                yield item  # type: ignore[misc]
        finally:
            for future in ready:
                future.cancel()
