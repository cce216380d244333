"""An iterator that a thread reads ahead, so that files are decoded while a device computes."""

import collections
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
END: Any = object()


def ahead(items: Iterator[T], count: int) -> Iterator[T]:
    """The items of an iterator in their order, of which up to `count` are made before they are asked for.

    An error of the iterator is raised in its place. Where the reader stops early, a generator is closed as well.
    """
    with ThreadPoolExecutor(1) as thread:
        waiting = collections.deque(thread.submit(next, items, END) for _ in range(count))
        try:
            while (item := waiting.popleft().result()) is not END:
                waiting.append(thread.submit(next, items, END))
                yield item
        finally:
            thread.shutdown(cancel_futures=True)
            if isinstance(items, Generator):
                items.close()
