"""Every form of list that img2dataset reads comes in whole."""

import gzip

import pandas as pd
import pytest
from kedro.io import DatasetError

from unclip_pipeline.datasets import ImageListDataset
from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.takedowns import NO_TAKEDOWNS
from unclip_pipeline.scraping.url_list import rows_to_scrape

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


def test_list_of_unknown_form_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="must be one of"):
        ImageListDataset(filepath=str(tmp_path / "list.doc"))


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_columns_of_any_name_are_chosen_by_the_scrape(form, tmp_path):
    named = ROWS.rename(columns={"url": "URL", "caption": "TEXT"})
    path = tmp_path / f"list.{form}"
    if form == "jsonl":
        named.to_json(path, orient="records", lines=True)
    else:
        (named.to_csv if form == "csv" else named.to_parquet)(path, index=False)
    read = ImageListDataset(filepath=str(path)).load()
    chosen = rows_to_scrape(read, NO_TAKEDOWNS, ScrapeConfig(url_column="URL", caption_column="TEXT"))
    assert set(chosen["caption"]) == set(ROWS["caption"])
    with pytest.raises(ValueError, match=r"needs a column 'url', got \['TEXT', 'URL', 'licence', 'width'\]"):
        rows_to_scrape(read, NO_TAKEDOWNS, ScrapeConfig())


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_a_list_is_read_once(form, tmp_path, monkeypatch):
    path, opened = tmp_path / f"list.{form}", []
    WRITERS[form](path)
    of_path = type(path).open
    monkeypatch.setattr(
        type(path), "open", lambda self, *args, **kw: opened.append(self) or of_path(self, *args, **kw)
    )
    dataset = ImageListDataset(filepath=str(path))
    assert dataset.exists() and opened == []
    dataset.load()
    assert opened == [path]


def test_columns_that_only_some_rows_or_files_have_are_kept(tmp_path):
    (tmp_path / "0.jsonl").write_text(
        '{"url": "a", "caption": "x"}\n{"url": "b", "caption": "y", "late": 1}\n'
    )
    (tmp_path / "1.jsonl").write_text('{"url": "c", "caption": "z", "other": "0012"}\n')
    read = ImageListDataset(filepath=str(tmp_path), format="jsonl").load()
    assert read["late"].tolist()[1] == 1 and read["other"].tolist()[2] == "0012"


def test_digits_and_newlines_of_a_caption_stay_as_they_are(tmp_path):
    (tmp_path / "list.json").write_text('[{"url": "a", "caption": "0012"}, {"url": "b", "caption": "007"}]')
    read = ImageListDataset(filepath=str(tmp_path / "list.json")).load()
    assert read["caption"].tolist() == ["0012", "007"]
    (tmp_path / "list.csv").write_text('url,caption\na,"two\nlines"\nb,c\n')
    assert ImageListDataset(filepath=str(tmp_path / "list.csv")).load()["caption"][0] == "two\nlines"


def test_missing_list_is_named(tmp_path):
    with pytest.raises(DatasetError, match="there is no image list"):
        ImageListDataset(filepath=str(tmp_path / "list.csv")).load()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", b"PAR1 but no more"), ("a.csv", "url,caption\nhttp://a/,caf\xe9\n".encode("latin-1")),
        ("a.json", b'{"url":'), ("a.csv", b"url,caption\nhttp://a/,b,c,d\n"), ("a.csv", b""),
        ("a.csv.gz", b"url\nx"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_read_is_named_with_the_next_move(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=f"{name} is no whole .* in UTF-8 .*; save it again"):
        ImageListDataset(filepath=str(tmp_path / name)).load()
