"""The dataset version: what every later stage trains on, by random access and in a replayable order.

A folder with `shards/*.tar` (image, caption, metadata and both CLIP embeddings of each sample side by
side), `index.parquet` (where each of them lies) and `dataset.json` (version, embedder, counts). It is read
where it lies: on this disk, or on any filesystem that fsspec knows.
"""

import copy
import hashlib
import io
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Float16, Float32, Int, UInt8

from unclip_pipeline.corpus.files import atomic_path
from unclip_pipeline.corpus.images import ImageDecodeError, decode_rgb, to_square
from unclip_pipeline.corpus.places import DatasetPlace
from unclip_pipeline.corpus.shard_bytes import CachedShards, HeldSpans, MappedShards, ShardBytes
from unclip_pipeline.corpus.shards import Sample, write_shard
from unclip_pipeline.corpus.version_files import files_of

SPLITS = ("train", "heldout")
GB = 10**9
logger = logging.getLogger(__name__)


class ReleasedPair(NamedTuple):
    """One sample on its way into the dataset version; embeddings are un-normalised."""

    sample: Sample
    split: str
    weight: float
    image_embedding: Float16[np.ndarray, " d"]
    text_embedding: Float16[np.ndarray, " d"]


@dataclass(frozen=True)
class Dataset:
    """A dataset version; rows are numbers in the order of `index`. Threads may share it."""

    shards: ShardBytes
    shard_names: tuple[str, ...]
    index: pd.DataFrame
    version: str
    embedder_id: str
    embedding_width: int

    @classmethod
    def open(cls, place: DatasetPlace) -> "Dataset":
        """Open a complete dataset version; a missing shard or mark is an error that names it."""
        files = files_of(place)
        if not files.is_complete():
            raise FileNotFoundError(f"{place} is no complete dataset version; run `release_dataset` again")
        facts = dataset_facts(place)
        index = pd.read_parquet(io.BytesIO(files.read_bytes("index.parquet")))
        if len(index) != facts["rows"]:
            raise ValueError(
                f"index.parquet of {place} has {len(index)} rows, {facts['rows']} in dataset.json; copy it again"
            )
        shards, names = files.shards(facts["shards"]), tuple(facts["shards"])
        return cls(shards, names, index, facts["version"], facts["embedder_id"], facts["embedding_width"])

    def __len__(self) -> int:
        return len(self.index)

    def rows(self, split: str) -> Int[np.ndarray, " n"]:
        """List the row numbers of "train" or "heldout"."""
        if split not in SPLITS:
            raise ValueError(f"split must be one of {SPLITS}, got {split!r}")
        return np.flatnonzero(self.index["split"].to_numpy() == split)

    def uids(self, rows: Int[np.ndarray, " b"]) -> list[str]:
        """Name the samples of these rows."""
        return self.index["uid"].to_numpy()[rows].tolist()

    def captions(self, rows: Int[np.ndarray, " b"]) -> list[str]:
        """Read the captions of these rows."""
        return self.index["caption"].to_numpy()[rows].tolist()

    def weights(self, rows: Int[np.ndarray, " b"]) -> Float[np.ndarray, " b"]:
        """Read the sampling weights of these rows; the mean over all training rows is 1."""
        return self.index["weight"].to_numpy()[rows]

    def images(self, rows: Int[np.ndarray, " b"], side_px: int) -> UInt8[np.ndarray, "b 3 s s"]:
        """Decode the images of these rows, cropped to the centre square and resized."""
        pixels = np.empty((len(rows), 3, side_px, side_px), np.uint8)
        for place, data in enumerate(self.image_bytes(rows)):
            try:
                pixels[place] = to_square(decode_rgb(data), side_px).transpose(2, 0, 1)
            except ImageDecodeError as fault:
                raise ImageDecodeError(f"the picture of {self.uids(rows)[place]}: {fault}") from fault
        return pixels

    def image_bytes(self, rows: Int[np.ndarray, " b"]) -> list[bytes]:
        """Read the images of these rows as they were fetched."""
        return self._read(rows, "image_offset", self._columns["image_size"][rows])

    def near(self, rows: Int[np.ndarray, " b"]) -> "Dataset":
        """Bring samples here at one request each, to read images and embeddings of these rows from.

        Where shards are read by range, three requests else; everywhere else the dataset itself.
        """
        is_here = isinstance(self.shards, MappedShards | HeldSpans)
        if is_here or (isinstance(self.shards, CachedShards) and self.shards.whole):
            return self
        first, last = (self._columns[f"{kind}_embedding_offset"][rows] for kind in ("image", "text"))
        shards, sizes = self.shard_of[rows], last - first + 2 * self.embedding_width
        return self._of(HeldSpans(shards, first, self.shards.read(shards, first, sizes)))

    def image_embeddings(self, rows: Int[np.ndarray, " b"]) -> Float32[np.ndarray, "b d"]:
        """Read the un-normalised CLIP image embeddings of these rows."""
        return self._vectors(rows, "image_embedding_offset")

    def text_embeddings(self, rows: Int[np.ndarray, " b"]) -> Float32[np.ndarray, "b d"]:
        """Read the un-normalised CLIP text embeddings of these rows."""
        return self._vectors(rows, "text_embedding_offset")

    def _vectors(self, rows: Int[np.ndarray, " b"], offset: str) -> Float32[np.ndarray, "b d"]:
        sizes = np.full(len(rows), 2 * self.embedding_width)  # bytes of half-precision numbers
        raw = b"".join(self._read(rows, offset, sizes))
        return np.frombuffer(raw, "<f2").reshape(len(rows), self.embedding_width).astype(np.float32)

    def _read(self, rows: Int[np.ndarray, " b"], offset: str, sizes: Int[np.ndarray, " b"]) -> list[bytes]:
        pieces = self.shards.read(self.shard_of[rows], self._columns[offset][rows], sizes)
        for row, piece, size in zip(rows, pieces, sizes, strict=True):
            if len(piece) != size:
                raise ValueError(
                    f"the shard of {self.index['uid'][row]} ends before its sample; copy the dataset version again"
                )
        return pieces

    def in_whole_shards(self, mixed_shards: int) -> "Dataset":
        """For reading from so many shards at a time: fetch each whole, if the cache holds so many.

        A version larger than its cache is read by byte range else, so that no shard is fetched again and again.
        """
        if not isinstance(self.shards, CachedShards) or self.shards.whole:
            return self
        sizes = sorted((shard.size for shard in self.shards.shards), reverse=True)
        needed, kept = sum(sizes[: mixed_shards or None]), self.shards.cache.max_bytes
        if needed <= kept:
            return self._of(replace(self.shards, whole=True))
        logger.warning(
            "the cache keeps %.1f GB, and %.1f GB of shards are drawn from at a time: reading by byte range; "
            "raise the catalog's cache_gb, or set mixed_shards to %d",
            kept / GB, needed / GB, max(1, len(sizes) * kept // sum(sizes)),
        )  # fmt: skip
        return self

    def _of(self, shards: ShardBytes) -> "Dataset":
        other = copy.copy(self)  # with the columns that were read already
        object.__setattr__(other, "shards", shards)
        return other

    @cached_property
    def shard_of(self) -> Int[np.ndarray, " n"]:
        """The number of the shard that holds each row."""
        return pd.Index(self.shard_names).get_indexer(self.index["shard"])

    @cached_property
    def _columns(self) -> dict[str, np.ndarray]:
        names = ("image_offset", "image_size", "image_embedding_offset", "text_embedding_offset")
        return {name: self.index[name].to_numpy() for name in names}


def dataset_facts(place: DatasetPlace) -> dict[str, Any]:
    """Read the facts of `dataset.json`."""
    return json.loads(files_of(place).read_bytes("dataset.json"))


def write_dataset(
    folder: Path, shards: Iterable[tuple[str, Iterable[ReleasedPair]]], *, embedder_id: str
) -> dict[str, Any]:
    """Write shards, index and `dataset.json` into an empty folder and return the facts of `dataset.json`.

    A shard without pairs leaves no file. The version is a digest of all shards and of the index.
    """
    entries: list[dict[str, Any]] = []
    digests: dict[str, str] = {}
    for shard, pairs in shards:
        written = _write_released_shard(folder, shard, pairs)
        if written:
            entries.extend(written)
            digests[shard] = _sha256(_shard_path(folder, shard))
    if not entries:
        raise ValueError(
            "a dataset version needs at least one pair, all were dropped; look at `filter_report`"
        )
    widths = {entry.pop("_width") for entry in entries}
    if len(widths) != 1:
        raise ValueError(f"all embeddings must have one width, got {sorted(widths)}; run `embed` again")
    index = pd.DataFrame(entries).sort_values("uid", ignore_index=True)
    with atomic_path(folder / "index.parquet") as path:
        index.to_parquet(path, index=False)
    facts = {
        "version": _version(digests, index),
        "embedder_id": embedder_id,
        "embedding_width": widths.pop(),
        "rows": len(index),
        **{split: int((index["split"] == split).sum()) for split in SPLITS},
        "shards": digests,
    }
    (folder / "dataset.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
    return facts


def verify_dataset(folder: Path) -> str:
    """Recompute every digest of a dataset version and return its version, or raise naming what changed."""
    facts = json.loads((folder / "dataset.json").read_text())
    digests = {shard: _sha256(_shard_path(folder, shard)) for shard in facts["shards"]}
    changed = [shard for shard, digest in digests.items() if digest != facts["shards"][shard]]
    if changed:
        raise ValueError(f"shards {changed[:5]} of {folder} are not those of version {facts['version']}")
    if _version(digests, pd.read_parquet(folder / "index.parquet")) != facts["version"]:
        raise ValueError(f"index.parquet of {folder} is not that of version {facts['version']}")
    return facts["version"]


def _write_released_shard(folder: Path, shard: str, pairs: Iterable[ReleasedPair]) -> list[dict[str, Any]]:
    by_uid = {pair.sample.uid: pair for pair in pairs}
    if not by_uid:
        return []
    _shard_path(folder, shard).parent.mkdir(exist_ok=True)
    samples = [pair.sample for pair in by_uid.values()]
    members = write_shard(
        _shard_path(folder, shard), samples, lambda sample: _vector_members(by_uid[sample.uid])
    )
    places = {member.name: member for member in members}
    return [_index_entry(shard, pair, places) for pair in by_uid.values()]


def _vector_members(pair: ReleasedPair) -> Mapping[str, bytes]:
    return {"image.npy": _npy(pair.image_embedding), "text.npy": _npy(pair.text_embedding)}


def _npy(vector: Float16[np.ndarray, " d"]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(vector, dtype="<f2"))
    return stream.getvalue()


def _index_entry(shard: str, pair: ReleasedPair, places: Mapping[str, Any]) -> dict[str, Any]:
    uid, width = pair.sample.uid, len(pair.image_embedding)
    image = places[f"{uid}.{pair.sample.extension}"]
    vectors = {kind: places[f"{uid}.{kind}.npy"] for kind in ("image", "text")}
    return {
        "uid": uid,
        "split": pair.split,
        "weight": float(pair.weight),
        "caption": pair.sample.caption,
        "shard": shard,
        "image_member": image.name,
        "image_offset": image.offset,
        "image_size": image.size,
        # the numbers themselves, behind the header of the .npy member
        **{f"{kind}_embedding_offset": v.offset + v.size - 2 * width for kind, v in vectors.items()},
        "_width": width,
    }


def _version(digests: Mapping[str, str], index: pd.DataFrame) -> str:
    digest = hashlib.sha256(json.dumps(digests, sort_keys=True).encode())
    digest.update(index.to_csv(index=False, lineterminator="\n").encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shard_path(folder: Path, shard: str) -> Path:
    return folder / "shards" / f"{shard}.tar"
