"""CLIP vectors beside the pairs: one parquet per shard, un-normalised, with the id of what made them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float16

from unclip_pipeline.corpus.files import atomic_path

EMBEDDER_ID = b"embedder_id"


class Embeddings(NamedTuple):
    """Vectors of n pairs, as float16. Their norms are kept: they can be divided out, not got back."""

    uid: np.ndarray
    image: Float16[np.ndarray, "n d"]
    text: Float16[np.ndarray, "n d"]
    embedder_id: str


def write_embeddings(path: Path, embeddings: Embeddings) -> None:
    """Write one shard's vectors; the file appears whole or not at all."""
    columns = {
        "uid": pa.array(embeddings.uid.astype(str).tolist(), pa.string()),
        "image": _vectors(embeddings.image),
        "text": _vectors(embeddings.text),
    }
    table = pa.table(columns).replace_schema_metadata({EMBEDDER_ID: embeddings.embedder_id.encode()})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def read_embeddings(folder: Path) -> Embeddings:
    """Read the vectors of all shards; raises ValueError if they are not all of one embedder."""
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"no embeddings in {folder}: run the pipeline `embed` first")
    made_by = {embedder_of(file) for file in files}
    if len(made_by) > 1:
        raise ValueError(
            f"vectors of different embedders cannot be compared, {folder} holds {sorted(made_by)}; "
            "remove the folder and run the pipeline `embed` again"
        )
    table = pa.concat_tables([pq.read_table(file) for file in files])
    return Embeddings(
        np.array(table["uid"].to_pylist(), dtype=str),
        _matrix(table["image"]),
        _matrix(table["text"]),
        made_by.pop(),
    )


def embedder_of(path: Path) -> str:
    """Read the embedder's id without the vectors."""
    return (pq.read_schema(path).metadata or {})[EMBEDDER_ID].decode()


def _vectors(matrix: Float16[np.ndarray, "n d"]) -> pa.FixedSizeListArray:
    flat = pa.array(np.ascontiguousarray(matrix, np.float16).reshape(-1), pa.float16())
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def _matrix(column: pa.ChunkedArray) -> Float16[np.ndarray, "n d"]:
    vectors = column.combine_chunks()
    return vectors.values.to_numpy(zero_copy_only=False).reshape(len(vectors), column.type.list_size)
