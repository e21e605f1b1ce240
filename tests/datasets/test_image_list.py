"""Every form of list that img2dataset reads comes in whole."""

import gzip

import pandas as pd
import pytest
from kedro.io import DatasetError

from unclip_pipeline.datasets import ImageListDataset

ROWS = pd.DataFrame(
    {
        "url": ["http://a.example/1.png", "http://b.example/é.jpg", "http://a.example/3.png"],
        "caption": ["a star", "ein Stern, groß", "a heart"],
        "licence": ["CC0-1.0", None, "CC-BY-4.0"],
        "width": [10, 20, 30],
    }
)
WRITERS = {
    "csv": lambda path: ROWS.to_csv(path, index=False),
    "csv.gz": lambda path: ROWS.to_csv(path, index=False),
    "tsv": lambda path: ROWS.to_csv(path, index=False, sep="\t"),
    "json": lambda path: ROWS.to_json(path, orient="records"),
    "jsonl": lambda path: ROWS.to_json(path, orient="records", lines=True),
    "jsonl.gz": lambda path: ROWS.to_json(path, orient="records", lines=True),
    "parquet": lambda path: ROWS.to_parquet(path, index=False),
}


@pytest.mark.parametrize("form", WRITERS)
def test_every_row_and_column_of_a_list_is_read(form, tmp_path):
    path = tmp_path / f"list.{form}"
    WRITERS[form](path)
    read = ImageListDataset(filepath=str(path)).load()
    assert read["url"].tolist() == ROWS["url"].tolist()
    assert read["caption"].tolist() == ROWS["caption"].tolist()
    assert read["width"].tolist() == [10, 20, 30]
    assert read["licence"].iloc[2] == "CC-BY-4.0"


@pytest.mark.parametrize("form", ["txt", "txt.gz"])
def test_bare_urls_have_empty_captions(form, tmp_path):
    path = tmp_path / f"list.{form}"
    text = "\n".join(ROWS["url"]).encode()
    path.write_bytes(gzip.compress(text) if form.endswith("gz") else text)
    read = ImageListDataset(filepath=str(path)).load()
    assert read.to_dict("list") == {"url": ROWS["url"].tolist(), "caption": [""] * 3}


def test_files_of_a_folder_come_one_after_the_other(tmp_path):
    for part, rows in enumerate((ROWS.iloc[:1], ROWS.iloc[1:])):
        rows.to_parquet(tmp_path / f"{part}.parquet", index=False)
    read = ImageListDataset(filepath=str(tmp_path), format="parquet").load()
    assert read["url"].tolist() == ROWS["url"].tolist()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [("list.doc", "x", "must be one of"), ("list.csv", "address,caption\nx,y\n", "needs a column 'url'")],
)
def test_list_that_cannot_be_read_is_named(name, content, says, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError, match=says):
        ImageListDataset(filepath=str(tmp_path / name)).load()


def test_missing_list_is_named(tmp_path):
    with pytest.raises(DatasetError, match="there is no image list"):
        ImageListDataset(filepath=str(tmp_path / "list.csv")).load()
