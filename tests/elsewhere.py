"""A real S3 API on loopback, and what other processes do to a cache that is shared."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import numpy as np

from unclip_pipeline.corpus.places import RemoteFolder
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.seeds import seeded_numpy

BUCKET = "corpora"


@contextmanager
def s3_server() -> Iterator[dict[str, Any]]:
    """Serve an empty bucket and yield the fsspec options that reach it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"key": "test", "secret": "test", "endpoint_url": f"http://{host}:{port}"}
    fsspec.filesystem("s3", **options).mkdir(BUCKET)
    try:
        yield options
    finally:
        server.stop()


def upload(folder: Path, url: str, options: dict[str, Any]) -> None:
    """Copy a folder there, file by file."""
    files = fsspec.filesystem(url.partition(":")[0], **options)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            files.pipe_file(f"{url}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def stall(place: RemoteFolder) -> None:
    """Begin to fetch a shard and never end."""
    far = Dataset.open(place).in_whole_shards(1)
    shard = far.shards.shards[0]
    with far.shards.cache.opened(shard, lambda: (time.sleep(60) for _ in range(9))):
        pass


def digest_of_all(place: RemoteFolder) -> str:
    """Read all pictures in an order of this process's own and digest them in that of the rows."""
    far = Dataset.open(place).in_whole_shards(1)
    order = seeded_numpy(os.getpid(), "order").permutation(len(far))
    pieces = {row: far.image_bytes(np.array([row]))[0] for row in order.tolist()}
    return hashlib.sha256(b"".join(pieces[row] for row in range(len(far)))).hexdigest()
