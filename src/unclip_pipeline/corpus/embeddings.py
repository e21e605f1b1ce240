"""CLIP vectors beside the pairs: one parquet per shard, un-normalised, with the id of what made them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float16, Shaped

from unclip_pipeline.corpus.files import atomic_path

EMBEDDER_ID = b"embedder_id"
SOURCE = b"source"


class Embeddings(NamedTuple):
    """Vectors of n pairs, as float16. Their norms are kept: they can be divided out, not got back."""

    uid: Shaped[np.ndarray, " n"]
    image: Float16[np.ndarray, "n d"]
    text: Float16[np.ndarray, "n d"]
    embedder_id: str


def write_embeddings(path: Path, embeddings: Embeddings, *, source: str = "") -> None:
    """Write one shard's vectors; the file appears whole or not at all. `source` names the shard's bytes."""
    for kind in ("image", "text"):
        broken = ~np.isfinite(getattr(embeddings, kind)).all(1)
        if broken.any():
            raise ValueError(
                f"vectors must be finite in float16, {int(broken.sum())} {kind} vectors are not, such as that "
                f"of {embeddings.uid[broken][0]}; look at the encoder's weights"
            )
    columns = {
        "uid": pa.array(embeddings.uid.astype(str).tolist(), pa.string()),
        "image": _as_lists(embeddings.image),
        "text": _as_lists(embeddings.text),
    }
    facts = {EMBEDDER_ID: embeddings.embedder_id.encode(), SOURCE: source.encode()}
    with atomic_path(path) as temporary:
        pq.write_table(pa.table(columns).replace_schema_metadata(facts), temporary)


def read_embeddings(folder: Path) -> Embeddings:
    """Read the vectors of all shards; raises ValueError if they are not all of one embedder."""
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"no embeddings in {folder}: run the pipeline `embed` first")
    made_by = {_facts(file)[EMBEDDER_ID].decode() for file in files}
    if len(made_by) > 1:
        raise ValueError(
            f"vectors of different embedders cannot be compared, {folder} holds {sorted(made_by)}; "
            "remove the folder and run the pipeline `embed` again"
        )
    table = pa.concat_tables([pq.read_table(file) for file in files])
    uids = np.array(table["uid"].to_pylist(), dtype=str)
    return Embeddings(uids, _as_matrix(table["image"]), _as_matrix(table["text"]), made_by.pop())


def is_embedding_of(path: Path, *, embedder_id: str, source: str) -> bool:
    """Tell whether a file holds the vectors of these pairs by this embedder; the vectors are not read."""
    facts = _facts(path)
    return (facts[EMBEDDER_ID], facts[SOURCE]) == (embedder_id.encode(), source.encode())


def _facts(path: Path) -> dict[bytes, bytes]:
    return pq.read_schema(path).metadata


def _as_lists(matrix: Float16[np.ndarray, "n d"]) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1), pa.float16()), matrix.shape[1])


def _as_matrix(column: pa.ChunkedArray) -> Float16[np.ndarray, "n d"]:
    lists = column.combine_chunks()
    return lists.values.to_numpy(zero_copy_only=False).reshape(len(lists), column.type.list_size)
