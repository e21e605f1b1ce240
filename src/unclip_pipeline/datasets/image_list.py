"""A list of image URLs in any form that img2dataset reads."""

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pandas as pd
from kedro.io import AbstractDataset, DatasetError

from unclip_pipeline.progress import progress

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = (
    "txt", "txt.gz", "csv", "csv.gz", "tsv", "tsv.gz", "json", "json.gz", "jsonl", "jsonl.gz", "parquet",
)  # fmt: skip
LONGEST_ROW_BYTES = 1 << 24  # of a jsonl


class ImageListDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """A file or a folder of files, each read once; all columns are kept, under their own names.

    `scrape.url_column` and `scrape.caption_column` say which of them are meant. The form is that of the
    file's name, or `format`; of a folder it must be given. A `txt` has one URL a line; a list of one column
    has no captions.
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
        import pyarrow as pa

        files = self._files()
        tables = []
        for path in progress(files, label="image list", unit="file") if len(files) > 1 else files:
            try:
                tables.append(_read(path, self._format.removesuffix(".gz")))
            except (ValueError, EOFError, OSError) as fault:
                raise DatasetError(
                    f"{path} is no whole {self._format} in UTF-8 ({fault}); save it again"
                ) from fault
        listed = pa.concat_tables(tables, promote_options="permissive").to_pandas(ignore_metadata=True)
        return listed.assign(caption="") if len(listed.columns) == 1 else listed

    def save(self, data: pd.DataFrame) -> NoReturn:
        raise DatasetError(f"{self._filepath} is a list of the user's own and is never written")

    def _files(self) -> list[Path]:
        if not self._filepath.exists():
            raise DatasetError(
                f"there is no image list at {self._filepath}; put it there or name another file"
            )
        if not self._filepath.is_dir():
            return [self._filepath]
        files = sorted(self._filepath.glob(f"*.{self._format}"))
        if not files:
            raise DatasetError(f"{self._filepath} must hold files named *.{self._format}, got none")
        return files

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "format": self._format}


def _read(path: Path, kind: str) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.json as pa_json
    import pyarrow.parquet as pq

    if kind == "parquet":
        return pq.read_table(path)
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        if kind == "txt":
            return pa.table({"url": [line.strip().decode() for line in file if line.strip()]})
        if kind == "json":  # as it is written: no digits become numbers, no names dates
            listed = pd.read_json(file, dtype=False, convert_dates=False)
            return pa.Table.from_pandas(listed, preserve_index=False)
        if kind == "jsonl":
            return pa_json.read_json(file, pa_json.ReadOptions(block_size=LONGEST_ROW_BYTES))
        delimiter = "," if kind == "csv" else "\t"
        options = pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        table = pa_csv.read_csv(file, parse_options=options)
    if foreign := [field.name for field in table.schema if pa.types.is_binary(field.type)]:
        raise ValueError(f"bytes of another encoding in {foreign}")  # they would come as bytes
    return table
