from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest

from unclip_pipeline.corpus.embeddings import Embeddings
from unclip_pipeline.corpus.images import encode_png
from unclip_pipeline.corpus.shards import Sample, write_shard
from unclip_pipeline.corpus.vectors import unit
from unclip_pipeline.curation.duplicates import DuplicateConfig
from unclip_pipeline.curation.measures import measure_shard
from unclip_pipeline.curation.rules import FilterConfig, judge
from unclip_pipeline.curation.scores import Reference, score_pairs
from unclip_pipeline.pipelines.deduplicate.report import duplicate_page
from unclip_pipeline.pipelines.filter.report import filter_page
from unclip_pipeline.seeds import seeded_numpy

CLASSES, N, WIDTH = 6, 300, 16


@pytest.fixture(scope="module")
def corpus():
    """Pairs of six classes; every tenth has the caption of another class."""
    random = seeded_numpy(0, "corpus")
    centres = random.standard_normal((CLASSES, WIDTH))
    shown = random.integers(0, CLASSES, N)
    wrong = np.arange(N) % 10 == 0
    told = np.where(wrong, (shown + 1) % CLASSES, shown)
    image = centres[shown] + 0.2 * random.standard_normal((N, WIDTH))
    text = centres[told] + 0.2 * random.standard_normal((N, WIDTH))
    rows = pd.DataFrame(
        {"uid": [f"{row:016x}" for row in range(N)], "caption": [f"of class {k}" for k in told]}
    )
    return rows, image.astype(np.float16), text.astype(np.float16), centres, shown, wrong


def score(corpus, rows=None, prompts=MappingProxyType({}), **options):
    rows = corpus[0] if rows is None else rows
    return score_pairs(rows, lambda: shards_of(corpus), prompts, scale=20.0, bank_size=200, seed=0, **options)


def shards_of(corpus, size=77, undecodable=()):
    """The embeddings, a shard at a time; of some uids there are none."""
    table, image, text, *_ = corpus
    uid = table["uid"].to_numpy(dtype=str)
    for start in range(0, N, size):
        lost = [name for name in uid[start : start + size] if name in undecodable]
        here = [row for row in range(start, min(start + size, N)) if uid[row] not in lost]
        yield Embeddings(uid[here], image[here], text[here], "toy", dict.fromkeys(lost, "truncated"))


def test_wholly_wrong_captions_have_less_evidence_than_chance(corpus):
    *_, wrong = corpus
    evidence = score(corpus)["evidence"].to_numpy()
    assert (evidence[wrong] < 0).all()
    assert (evidence[~wrong] > 1).mean() > 0.99


def test_a_concept_is_scored_by_its_prompts(corpus):
    *_, centres, shown, _ = corpus
    prompt = (centres[[2]] / np.linalg.norm(centres[2])).astype(np.float32)
    scored = score(corpus, prompts={"score_unsafe": prompt})["score_unsafe"].to_numpy()
    assert ((scored > 1) == (shown == 2)).all()


def test_embeddings_are_found_by_uid_whatever_the_order(corpus):
    turned = corpus[0].iloc[::-1].reset_index(drop=True)
    straight, reverse = score(corpus), score(corpus, turned).iloc[::-1].reset_index(drop=True)
    assert reverse["similarity"].to_numpy() == pytest.approx(straight["similarity"].to_numpy(), abs=1e-6)


def test_shards_make_no_difference(corpus):
    whole, parts = ({"size": N}, {"size": 7})
    scored = [
        score_pairs(corpus[0], lambda s=s: shards_of(corpus, **s), {}, scale=20.0, bank_size=200, seed=0)
        for s in (whole, parts)
    ]
    assert scored[0]["evidence"].to_numpy() == pytest.approx(scored[1]["evidence"].to_numpy(), abs=1e-4)


def test_a_pair_without_vectors_has_its_error_and_no_scores(corpus):
    lost = corpus[0]["uid"][5]
    scored = score_pairs(
        corpus[0], lambda: shards_of(corpus, undecodable=[lost]), {}, scale=20.0, bank_size=N, seed=0
    )
    assert scored.loc[scored["embedding_error"] == "truncated", "uid"].tolist() == [lost]
    assert scored["evidence"].isna().sum() == 1


def test_references_mark_the_clusters_they_fall_into(corpus):
    table, image, _, centres, shown, _ = corpus
    wanted = unit(centres[[1, 4]].astype(np.float32))
    by_pictures = score(corpus, reference=Reference(wanted, None, CLASSES))["references_in_cluster"]
    by_captions = score(corpus, reference=Reference(None, wanted, CLASSES))["references_in_cluster"]
    assert ((by_pictures.to_numpy() > 0) == np.isin(shown, [1, 4])).mean() > 0.97
    assert ((by_captions.to_numpy() > 0) == np.isin(shown, [1, 4])).mean() > 0.97


def test_more_clusters_than_images_are_refused_by_name(corpus):
    with pytest.raises(ValueError, match="filter.reference_clusters must be at most the 300 images"):
        score(corpus, reference=Reference(unit(corpus[3].astype(np.float32)), None, 301))


def test_nothing_to_score_and_a_missing_embedding_are_clear_errors(corpus):
    with pytest.raises(ValueError, match="nothing was scraped"):
        score(corpus, corpus[0].iloc[:0])
    strange = pd.DataFrame({"uid": ["ffff"], "caption": ["x"]})
    with pytest.raises(ValueError, match="no scraped pair has embeddings"):
        score(corpus, strange)
    with pytest.raises(ValueError, match="the embeddings lack 1 of 301 uids, such as \\['ffff'\\]"):
        score(corpus, pd.concat([corpus[0], strange], ignore_index=True))


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for shard, numbers in (("00000", range(3)), ("00001", range(3, 6))):
        write_shard(folder / f"{shard}.tar", [_sample(number) for number in numbers])
    return folder


def _sample(number: int) -> Sample:
    image = seeded_numpy(0, number).integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    return Sample(f"{number:016x}", encode_png(image), "png", f"a picture of {number}", {})


def ledger() -> pd.DataFrame:
    uids = [f"{number:016x}" for number in range(6)]
    captions = [f"a picture of {number}" for number in range(6)]
    shards_of = ["00000"] * 3 + ["00001"] * 3
    return pd.DataFrame({"uid": uids, "shard": shards_of, "caption": captions, "split": "train"})


def test_the_filter_page_shows_every_rule_with_its_pictures(shards):
    measured = pd.concat([measure_shard(shards / f"{shard}.tar") for shard in ("00000", "00001")])
    facts = ledger().merge(measured, on="uid").assign(
        width=64, height=64, sha256=ledger()["uid"], contrast=[0.5, 9, 9, 9, 9, 9], similarity=0.5,
        evidence=[5.0, -2.0, 0.5, 1.5, 4.0, 5.0], score_unsafe=[-1.0, -1.0, -1.0, -1.0, -1.0, 3.0],
    )  # fmt: skip
    config = FilterConfig(concepts={"unsafe": {"prompts": ["a sign"]}})
    verdicts = judge(facts.drop(columns=["shard", "split"]), config)
    page = filter_page(verdicts, ledger(), shards, config)
    for words in ("2 of 6 scraped pairs", "similarity too low: 2 pairs fail", "unsafe: 1 pairs", "image blank",
                  "kept least surely", "Rules together", "Languages"):  # fmt: skip
        assert words in page


def test_the_duplicate_page_shows_groups_side_by_side(shards):
    uid = ledger()["uid"]
    verdicts = pd.DataFrame(
        {
            "uid": uid,
            "fate": [
                "kept",
                "deduplicate.exact",
                "deduplicate.semantic",
                "deduplicate.perceptual",
                "kept",
                "kept",
            ],
            "duplicate_of": [None, uid[0], uid[0], uid[4], None, None],
            "cosine": [None, 1.0, 0.95, 0.99, None, None],
            "group": [uid[0], uid[0], uid[0], uid[4], uid[4], uid[5]],
        }
    )
    families = pd.DataFrame({"family": uid[4], "uid": uid[4:], "cosine": [1.0, 0.98], "differs": ["", "two"]})
    metrics = dict.fromkeys(
        ["dropped_for_heldout", "dropped_near_heldout", "decontamination_pairs_compared",
         "decontamination_near_pairs", "decontamination_left", "train_captions_also_heldout"], 0
    )  # fmt: skip
    metrics |= {"probe_rows": 6, "probe_recall_n": 0, "families": 1, "pictures_in_families": 2}
    page = duplicate_page(verdicts, families, metrics, ledger(), shards, DuplicateConfig())
    assert "3 of 6 pictures are kept" in page
    assert f"3 pictures, {uid[0]} is kept" in page
    assert "2 kept pictures in 1 families" in page
    none = verdicts.assign(fate="kept", duplicate_of=None, cosine=np.nan, group=uid)
    whole = duplicate_page(none, families.iloc[:0], metrics, ledger(), shards, DuplicateConfig())
    assert "6 of 6 pictures are kept" in whole
