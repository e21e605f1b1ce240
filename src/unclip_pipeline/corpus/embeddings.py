"""CLIP vectors beside the pairs: one parquet per shard, un-normalised, with the id of what made them."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float16, Int, Shaped

from unclip_pipeline.corpus.files import atomic_path

EMBEDDER_ID = b"embedder_id"
SOURCE = b"source"
FORMAT = b"format"
FORMAT_NOW = b"2"  # 1 had no status
EMBEDDED = "embedded"


class Embeddings(NamedTuple):
    """Vectors of n pairs, as float16. Their norms are kept: they can be divided out, not got back."""

    uid: Shaped[np.ndarray, " n"]
    image: Float16[np.ndarray, "n d"]
    text: Float16[np.ndarray, "n d"]
    embedder_id: str
    undecodable: Mapping[str, str] = MappingProxyType({})  # uids beside those n: no image, and why


def write_embeddings(path: Path, embeddings: Embeddings, *, source: str = "") -> None:
    """Write one shard's vectors; the file appears whole or not at all. `source` names the shard's bytes.

    The status of a row is "embedded", or why its image could not be decoded; then its vectors are
    zeros, and `read_embeddings` leaves it out.
    """
    if broken := _not_finite(embeddings):
        raise ValueError(
            f"vectors must be finite in float16, there are {broken}; look at the encoder's weights"
        )
    uids = np.array([*embeddings.uid, *embeddings.undecodable], dtype=str)
    order = np.argsort(uids, kind="stable") if embeddings.undecodable else np.arange(len(uids))
    statuses = [EMBEDDED] * len(embeddings.uid) + list(embeddings.undecodable.values())
    columns = {
        "uid": pa.array(uids[order].tolist(), pa.string()),
        "status": pa.array([statuses[row] for row in order], pa.string()),
        "image": _as_lists(embeddings.image, order),
        "text": _as_lists(embeddings.text, order),
    }
    facts = {EMBEDDER_ID: embeddings.embedder_id.encode(), SOURCE: source.encode(), FORMAT: FORMAT_NOW}
    table = pa.table(columns).replace_schema_metadata(facts)
    with atomic_path(path) as temporary:  # random bits: neither a dictionary nor compression helps
        pq.write_table(table, temporary, use_dictionary=["status"], compression="none")


def read_embeddings(folder: Path, shards: Collection[str] | None = None) -> Embeddings:
    """Read the vectors of all shards; raises ValueError if they are not all of one embedder.

    With `shards`, such as a ledger names them, the files must be just those of these shards.
    """
    files = _files(folder, shards)
    rows = sum(_metadata(file).num_rows for file in files)
    uids, undecodable, filled, embedder_id = [], {}, 0, ""
    image = text = np.empty((0, 0), np.float16)
    for part in _read_each(files):
        if not uids:  # allocated once: the vectors are never held twice
            image, text = (np.empty((rows, part.image.shape[1]), np.float16) for _ in range(2))
            embedder_id = part.embedder_id
        place = slice(filled, filled + len(part.uid))
        image[place], text[place] = part.image, part.text
        uids.append(part.uid)
        undecodable |= part.undecodable
        filled = place.stop
    return Embeddings(np.concatenate(uids), image[:filled], text[:filled], embedder_id, undecodable)


def iter_embeddings(folder: Path, shards: Collection[str] | None = None) -> Iterator[Embeddings]:
    """Yield one shard's vectors after the other, with the checks of `read_embeddings`; one is held at a time."""
    yield from _read_each(_files(folder, shards))


def is_embedding_of(path: Path, *, embedder_id: str, source: str) -> bool:
    """Tell whether a file holds the vectors of these pairs by this embedder; the vectors are not read."""
    try:
        facts = _metadata(path).metadata or {}
    except ValueError:
        return False
    wanted = {EMBEDDER_ID: embedder_id.encode(), SOURCE: source.encode(), FORMAT: FORMAT_NOW}
    return all(facts.get(name) == value for name, value in wanted.items())


def is_same_space(embedder_id: str, other: str) -> bool:
    """Tell whether vectors may be compared: one model and preprocessing, whatever the number type and mode."""
    return embedder_id.rpartition("/")[0] == other.rpartition("/")[0]


def _files(folder: Path, shards: Collection[str] | None) -> list[Path]:
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"no embeddings in {folder}: run the pipeline `embed` first")
    if shards is not None:
        lost = sorted(set(shards) - {file.stem for file in files})
        if lost:
            raise FileNotFoundError(
                f"{len(lost)} of {len(shards)} shards have no embeddings, such as {lost[0]}: there is no "
                f"{folder / lost[0]}.parquet; run the pipeline `embed` again"
            )
        strange = [file for file in files if file.stem not in shards]
        if strange:
            raise ValueError(
                f"{strange[0]} holds embeddings of no shard that there is; run the pipeline `embed` again, it "
                "removes such files"
            )
    return files


def _metadata(file: Path) -> pq.FileMetaData:
    try:
        return pq.read_metadata(file)
    except pa.ArrowInvalid as fault:
        raise _not_whole(file, fault) from fault


def _not_whole(file: Path, fault: Exception) -> ValueError:
    return ValueError(
        f"{file} is no whole file of embeddings ({fault}); remove it and run the pipeline `embed` again"
    )


def _read_each(files: list[Path]) -> Iterator[Embeddings]:
    made_by: dict[str, Path] = {}
    width = None
    for file in files:
        part = _read(file)
        first = made_by.setdefault(part.embedder_id, file)
        if len(made_by) > 1:
            raise ValueError(
                f"vectors of different embedders cannot be compared, {files[0]} and {first} are by "
                f"{sorted(made_by)}; remove the folder and run the pipeline `embed` again"
            )
        width = width or part.image.shape[1]
        if part.image.shape[1] != width:
            raise ValueError(
                f"vectors of one embedder have one width, {files[0]} has {width} and {file} has "
                f"{part.image.shape[1]}; remove the folder and run the pipeline `embed` again"
            )
        yield part


def _read(file: Path) -> Embeddings:
    try:
        table = pq.read_table(file, memory_map=True)
        embedder_id = (table.schema.metadata or {})[EMBEDDER_ID].decode()
        image, text, uid = table["image"], table["text"], table["uid"]
    except (pa.ArrowInvalid, KeyError) as fault:
        raise _not_whole(file, fault) from fault
    undecodable = {}
    if "status" in table.column_names and pc.any(pc.not_equal(table["status"], EMBEDDED)).as_py():
        embedded = pc.equal(table["status"], EMBEDDED)
        rest = table.filter(pc.invert(embedded))
        undecodable = dict(zip(rest["uid"].to_pylist(), rest["status"].to_pylist(), strict=True))
        image, text, uid = (column.filter(embedded) for column in (image, text, uid))
    found = Embeddings(
        np.array(uid.to_pylist(), dtype=str), _as_matrix(image), _as_matrix(text), embedder_id, undecodable
    )
    if broken := _not_finite(found):
        raise ValueError(f"{file} has {broken}; remove the file and run the pipeline `embed` again")
    return found


def _not_finite(embeddings: Embeddings) -> str:
    """Say how many vectors are not finite and name one of them; "" where all are."""
    for kind, vectors in (("image", embeddings.image), ("text", embeddings.text)):
        broken = embeddings.uid[~np.isfinite(vectors).all(1)]
        if len(broken):
            return f"{len(broken)} {kind} vectors that are not finite, such as that of {broken[0]}"
    return ""


def _as_lists(matrix: Float16[np.ndarray, "m d"], order: Int[np.ndarray, " n"]) -> pa.FixedSizeListArray:
    """Lay vectors out in this order of rows; a row beyond them gets zeros: parquet reads no missing list."""
    width = matrix.shape[1]
    if len(order) > len(matrix):
        matrix = np.concatenate([matrix, np.zeros((len(order) - len(matrix), width), np.float16)])
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix[order].reshape(-1), pa.float16()), width)


def _as_matrix(column: pa.ChunkedArray) -> Float16[np.ndarray, "n d"]:
    lists = column.combine_chunks()
    return lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), column.type.list_size)
