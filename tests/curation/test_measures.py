import numpy as np
import pytest

from unclip_pipeline.corpus.files import SUCCESS
from unclip_pipeline.corpus.images import encode_png
from unclip_pipeline.corpus.shards import Sample, write_shard
from unclip_pipeline.curation import measures
from unclip_pipeline.curation.measures import COLUMNS, MeasureShard, is_measured, measure_shard, read_measures
from unclip_pipeline.engines import EngineConfig
from unclip_pipeline.pipelines.filter.nodes import measure
from unclip_pipeline.seeds import seeded_numpy

ENGINE = EngineConfig(processes=1)


def sample(number: int, caption: str = "a picture") -> Sample:
    image = seeded_numpy(0, number).integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    return Sample(f"{number:016x}", encode_png(image), "png", caption, {})


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard in range(2):
        write_shard(folder / f"{shard:05d}.tar", [sample(3 * shard + number) for number in range(3)])
    return folder


def test_every_pair_of_a_shard_is_measured(shards):
    measured = measure_shard(shards / "00000.tar")
    assert measured.columns.tolist() == list(COLUMNS)
    assert measured["uid"].tolist() == [f"{number:016x}" for number in range(3)]
    assert (measured["contrast"] > 3).all()
    assert measured["image_error"].eq("").all()


def test_bytes_that_are_no_image_have_an_error_in_place_of_measures(tmp_path):
    broken = Sample("f" * 16, b"not an image", "png", "a picture", {})
    write_shard(tmp_path / "00000.tar", [sample(0), broken])
    measured = measure_shard(tmp_path / "00000.tar").set_index("uid")
    assert measured.loc["f" * 16, "image_error"] == "no known image format"
    assert measured["contrast"].isna().tolist() == [False, True]
    assert measured["caption_words"].tolist() == [2, 2]


def test_measures_come_back_as_they_were_written(shards, tmp_path):
    target = tmp_path / "measures"
    target.mkdir()
    assert MeasureShard(target)(shards / "00001.tar") == 3
    assert read_measures(target).equals(measure_shard(shards / "00001.tar"))


def test_measures_are_kept_until_the_shard_or_the_measures_change(shards, tmp_path, monkeypatch):
    target = measure(shards, tmp_path / "measures", ENGINE)
    first, second = (target / f"0000{number}.parquet" for number in range(2))
    made = [first.stat().st_mtime_ns, second.stat().st_mtime_ns]
    write_shard(shards / "00001.tar", [sample(9)])
    measure(shards, target, ENGINE)
    assert first.stat().st_mtime_ns == made[0]
    assert second.stat().st_mtime_ns != made[1]
    assert read_measures(target)["uid"].tolist()[-1] == f"{9:016x}"
    monkeypatch.setattr(measures, "VERSION", "another")
    assert not is_measured(target, shards / "00000.tar")


def test_measures_of_no_shard_and_broken_files_are_made_away_with(shards, tmp_path):
    target = measure(shards, tmp_path / "measures", ENGINE)
    (target / "00001.parquet").write_bytes(b"half")
    (shards / "00000.tar").unlink()
    measure(shards, target, ENGINE)
    assert sorted(file.name for file in target.iterdir()) == ["00001.parquet", SUCCESS]
    assert len(read_measures(target)) == 3


def test_no_measures_are_an_error_that_names_the_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no measures in {tmp_path}"):
        read_measures(tmp_path)
