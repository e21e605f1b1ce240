"""A list of image URLs in any form that img2dataset reads."""

import contextlib
import io
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
from kedro.io import AbstractDataset, DatasetError

FORMATS = (
    "txt", "txt.gz", "csv", "csv.gz", "tsv", "tsv.gz", "json", "json.gz", "jsonl", "jsonl.gz", "parquet",
)  # fmt: skip


class ImageListDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """A file or a folder of files, read by img2dataset's Reader; all columns are kept.

    The form is that of the file's name, or `format`; of a folder it must be given. A `txt` has one URL a
    line and no captions.
    """

    def __init__(self, *, filepath: str, format: str = "", metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._format = format or next((f for f in reversed(FORMATS) if filepath.endswith(f".{f}")), "")
        self.metadata = metadata
        if self._format not in FORMATS:
            raise DatasetError(
                f"an image list must be one of {', '.join(FORMATS)}, got {filepath} with {format=}; name its format"
            )

    def load(self) -> pd.DataFrame:
        from unclip_pipeline.scraping.img2dataset_guard import Reader

        if not self._filepath.exists():
            raise DatasetError(
                f"there is no image list at {self._filepath}; put it there or name another file"
            )
        with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
            reader = Reader(  # it says what it reads
                url_list=str(self._filepath),
                input_format=self._format,
                url_col="url",
                caption_col=None,
                verify_hash_col=None,
                verify_hash_type=None,
                save_additional_columns=[name for name in self._columns() if name != "url"],
                number_sample_per_shard=10**9,
                done_shards=set(),
                tmp_path=scratch,
            )
            if self._format.startswith("txt"):
                reader.column_list = ["url"]
            parts = [pd.read_feather(path) for _, path in reader]
        listed = pd.concat(parts, ignore_index=True)
        return listed if "caption" in listed else listed.assign(caption="")

    def save(self, data: pd.DataFrame) -> NoReturn:
        raise DatasetError(f"{self._filepath} is a list of the user's own and is never written")

    def _columns(self) -> list[str]:
        """Name the columns of the list, by its first file; raise unless `url` is one of them."""
        import pyarrow.parquet as pq

        whole = self._filepath
        first = min(whole.glob(f"*.{self._format}"), default=None) if whole.is_dir() else whole
        if first is None:
            raise DatasetError(f"{whole} must hold files named *.{self._format}, got none")
        kind = self._format.removesuffix(".gz")
        if kind == "txt":
            return ["url"]
        if kind == "parquet":
            names = pq.read_schema(first).names
        elif kind in ("csv", "tsv"):
            names = pd.read_csv(first, sep="," if kind == "csv" else "\t", nrows=0).columns.tolist()
        else:
            names = pd.read_json(first, lines=kind == "jsonl").columns.tolist()
        if "url" not in names:
            raise DatasetError(f"an image list needs a column 'url', got {names} in {first}; rename yours")
        return names

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "format": self._format}
