"""A function on its way to a worker."""

import pickle
from collections.abc import Callable
from typing import Any


class PackedFunction:
    """A function as bytes, unpickled at its first call: a failing import is then an answer like any other."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._bytes: bytes = pickle.dumps(function)

    def __call__(self, shard: Any) -> Any:
        if "_function" not in self.__dict__:
            self._function = pickle.loads(self._bytes)
        return self._function(shard)
