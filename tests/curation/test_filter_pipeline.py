import numpy as np
import pandas as pd
import pytest

from tiny_stack import tiny_weights
from unclip_pipeline.clip.encoder import load_encoder
from unclip_pipeline.corpus.embeddings import Embeddings, write_embeddings
from unclip_pipeline.corpus.images import encode_png
from unclip_pipeline.corpus.shards import Sample, write_shard
from unclip_pipeline.curation.calibration import CalibrationConfig
from unclip_pipeline.curation.rules import FilterConfig
from unclip_pipeline.engines import EngineConfig
from unclip_pipeline.pipelines.filter.nodes import decide, describe, measure
from unclip_pipeline.seeds import seeded_numpy

CAPTIONS = ["a red circle", "IMG_1.jpg", "ein roter Kreis auf der Wiese", "a blue star", "a sky", "a tree"]
LOST = 5  # its bytes are no image
CONFIG = FilterConfig(min_evidence=None)


def uid(number: int) -> str:
    return f"{number:016x}"


@pytest.fixture(scope="module")
def clip():
    return tiny_weights()["clip"]


@pytest.fixture
def project(tmp_path, clip):
    """Two shards of three pairs, their embeddings and their measures."""
    raw, embeddings, annotations = (tmp_path / name for name in ("shards", "embeddings", "annotations"))
    for folder in (raw, embeddings, annotations):
        folder.mkdir()
    for shard in range(2):
        numbers = range(3 * shard, 3 * shard + 3)
        write_shard(raw / f"{shard:05d}.tar", [sample(number) for number in numbers])
        write_vectors(embeddings / f"{shard:05d}.parquet", list(numbers), load_encoder(clip).embedder_id)
    measures = measure(raw, tmp_path / "measures", EngineConfig(processes=1))
    ledger = pd.DataFrame({"uid": map(uid, range(6)), "caption": CAPTIONS})
    ledger = ledger.assign(
        width=32,
        height=32,
        sha256=ledger["uid"],
        fate="kept",
        split="train",
        shard=["00000"] * 3 + ["00001"] * 3,
    )
    return {
        "ledger": ledger,
        "raw": raw,
        "embeddings": embeddings,
        "measures": measures,
        "notes": annotations,
    }


def sample(number: int) -> Sample:
    pixels = seeded_numpy(0, number).integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    return Sample(
        uid(number), b"broken" if number == LOST else encode_png(pixels), "png", CAPTIONS[number], {}
    )


def write_vectors(path, numbers, embedder_id):
    own = [number for number in numbers if number != LOST]
    image, text = (
        seeded_numpy(1, kind).standard_normal((6, 16)).astype(np.float16)[own] for kind in ("image", "text")
    )
    lost = {uid(number): "no known image format" for number in numbers if number == LOST}
    write_embeddings(path, Embeddings(np.array([uid(n) for n in own]), image, text, embedder_id, lost))


def run(project, clip, config=CONFIG):
    return decide(
        project["ledger"], project["embeddings"], clip, project["measures"], project["notes"], config,
        CalibrationConfig(), 0,
    )  # fmt: skip


def test_every_scraped_pair_gets_one_fate_and_a_page(project, clip):
    verdicts, metrics, probes = run(project, clip)
    fates = dict(zip(verdicts["uid"], verdicts["fate"], strict=True))
    assert fates.pop(uid(1)) == "filter.caption_is_filename"
    assert fates.pop(uid(LOST)) == "filter.image_undecodable"
    assert set(fates.values()) == {"kept"}
    assert metrics["kept"] == 4
    page = describe(verdicts, project["ledger"], project["raw"], probes, CONFIG)
    assert "4 of 6 scraped pairs" in page


def test_deciding_again_gives_the_same_table_and_measures_nothing(project, clip):
    first, *_ = run(project, clip)
    for shard in project["raw"].iterdir():
        shard.unlink()
    again, *_ = run(project, clip)
    pd.testing.assert_frame_equal(first, again)
    german, *_ = run(
        project, clip, FilterConfig(min_evidence=None, languages=["de"], keep_unknown_language=False)
    )
    assert german.loc[german["fate"] == "kept", "uid"].tolist() == [uid(2)]
    pd.testing.assert_series_equal(first["evidence"], german["evidence"])


def test_a_reference_set_keeps_the_clusters_it_falls_into(project, clip):
    config = FilterConfig(
        min_evidence=None, reference_embeddings=str(project["embeddings"]), reference_clusters=2
    )
    verdicts, *_ = run(project, clip, config)
    assert verdicts["references_in_cluster"].dropna().sum() >= 5  # the corpus is its own reference
    assert not verdicts["fails_reference_too_far"].any()


def test_embeddings_of_another_clip_are_refused_by_name(project, clip):
    write_vectors(project["embeddings"] / "00000.parquet", [0, 1, 2], "ViT/other/224/float32")
    write_vectors(project["embeddings"] / "00001.parquet", [3, 4, 5], "ViT/other/224/float32")
    with pytest.raises(ValueError, match="embeddings of ViT/other/224/float32 cannot be judged by"):
        run(project, clip)


def test_a_reference_set_of_another_clip_is_refused_by_name(project, clip, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    write_vectors(other / "00000.parquet", [0, 1, 2], "ViT/other/224/float32")
    with pytest.raises(ValueError, match=f"the reference set in {other} was embedded by ViT/other"):
        run(project, clip, FilterConfig(reference_embeddings=str(other)))


def test_a_missing_shard_of_embeddings_is_named(project, clip):
    (project["embeddings"] / "00001.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"00001\.parquet; run the pipeline `embed`"):
        run(project, clip)


def test_nothing_scraped_is_an_error_that_says_where_to_look(project, clip):
    project["ledger"]["fate"] = "scrape.http_404"
    with pytest.raises(ValueError, match="nothing was scraped; look at `scrape_report`"):
        run(project, clip)
