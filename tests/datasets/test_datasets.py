from pathlib import Path

import pandas as pd
import pytest
import torch
from kedro.io import DatasetError

from unclip_pipeline.corpus.files import atomic_folder
from unclip_pipeline.corpus.places import RemoteFolder
from unclip_pipeline.datasets import (
    AtomicDataset,
    FolderDataset,
    FolderTargetDataset,
    ReleasedDataset,
    WeightsDataset,
)
from unclip_pipeline.weights import Weights


def test_a_table_survives_a_save_that_fails(tmp_path: Path) -> None:
    table = AtomicDataset(filepath=str(tmp_path / "t.parquet"), dataset="pandas.ParquetDataset")
    table.save(pd.DataFrame({"a": [1, 2]}))
    with pytest.raises(DatasetError):
        table.save(pd.DataFrame({"a": [object()]}))
    assert table.load()["a"].tolist() == [1, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["t.parquet"]


def test_only_an_optional_file_may_be_missing(tmp_path: Path) -> None:
    path = str(tmp_path / "none.json")
    assert AtomicDataset(filepath=path, dataset="json.JSONDataset", optional=True).load() is None
    with pytest.raises(DatasetError, match="run the pipeline that writes it"):
        AtomicDataset(filepath=path, dataset="json.JSONDataset").load()


def test_a_folder_loads_only_when_its_writer_finished(tmp_path: Path) -> None:
    folder = FolderDataset(filepath=str(tmp_path / "shards"))
    target = FolderTargetDataset(filepath=str(tmp_path / "shards")).load()
    target.mkdir()
    assert not folder.exists()
    with pytest.raises(DatasetError, match="not a finished folder"):
        folder.load()
    with atomic_folder(target) as part:
        (part / "00000.tar").touch()
    folder.save(target)
    assert folder.exists() and folder.load() == target


def test_a_node_cannot_finish_another_folder(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "other"):
        pass
    with pytest.raises(DatasetError, match="must finish"):
        FolderDataset(filepath=str(tmp_path / "shards")).save(tmp_path / "other")


def test_weights_go_through_the_catalog(tmp_path: Path) -> None:
    dataset = WeightsDataset(filepath=str(tmp_path / "prior"))
    assert not dataset.exists()
    dataset.save(Weights({"w": torch.ones(2)}, {"kind": "prior"}))
    assert dataset.load().config == {"kind": "prior"}


def test_a_dataset_version_is_a_folder_or_a_place_elsewhere(tmp_path: Path) -> None:
    near = ReleasedDataset(filepath=str(tmp_path / "dataset"))
    with pytest.raises(DatasetError, match="not a finished folder"):
        near.load()
    with atomic_folder(tmp_path / "dataset"):
        pass
    near.save(tmp_path / "dataset")
    assert near.load() == tmp_path / "dataset"
    far = ReleasedDataset(
        filepath="s3://b/d",
        cache=str(tmp_path),
        cache_gb=2,
        credentials={"key": "k"},
        fs_args={"anon": False},
    )
    assert far.load() == RemoteFolder(
        url="s3://b/d", cache=tmp_path, cache_gb=2, options={"anon": False, "key": "k"}
    )
    with pytest.raises(DatasetError, match="only read"):
        far.save(tmp_path / "dataset")
