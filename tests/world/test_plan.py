"""What is planted is there, in the shares asked for, and nowhere else."""

import io
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.permission import Permission, PlainAnswer
from unclip_pipeline.world.opt_outs import HOST_FILES, NO_OPT_OUTS, OPT_OUTS
from unclip_pipeline.world.pictures import Picture, picture_bytes
from unclip_pipeline.world.plan import (
    FAULTS,
    TRANSFORMS,
    Entry,
    plan_world,
)
from unclip_pipeline.world.scenes import WorldConfig, heldout_kind
from unclip_pipeline.world.truth import url_list, world_truth
from unclip_pipeline.world.website import picture_of


@pytest.fixture(scope="module")
def truth(entries: list[Entry], small_world: WorldConfig) -> pd.DataFrame:
    return world_truth(entries, small_world)


def test_the_list_has_as_many_rows_as_configured(entries: list[Entry], small_world: WorldConfig) -> None:
    assert len(entries) == small_world.images == len(url_list(entries))


def test_the_truth_has_one_row_per_uid_and_counts_every_listing(
    truth: pd.DataFrame, entries: list[Entry]
) -> None:
    assert truth["uid"].is_unique
    assert truth["listed"].sum() == len(entries)
    assert (truth["listed"] == 2).sum() == round(0.02 * 610)


def test_the_same_seed_plans_the_same_world(entries: list[Entry], small_world: WorldConfig) -> None:
    assert plan_world(small_world, 0) == entries
    assert plan_world(small_world, 1) != entries


def test_no_train_row_shows_a_heldout_combination(entries: list[Entry], small_world: WorldConfig) -> None:
    trained = [entry for entry in entries if entry.split == "train"]
    assert {heldout_kind(entry.scene, small_world) for entry in trained} == {None}


def test_heldout_rows_are_as_many_as_configured_and_clean(truth: pd.DataFrame) -> None:
    heldout = truth[truth["split"] == "heldout"]
    assert heldout["heldout_kind"].notna().sum() == 50
    assert len(heldout) == 90
    assert set(heldout["expected_fate"]) == {"kept"}
    assert set(heldout["caption_match"]) == {"all"}
    assert not heldout[["unsafe", "watermark", "opt_out"]].any(axis=None)


def test_faults_are_planted_in_their_shares(truth: pd.DataFrame, small_world: WorldConfig) -> None:
    train = 610
    assert truth["fault"].notna().sum() == round(small_world.failure_share * train)
    assert set(truth["fault"].dropna()) == set(FAULTS)
    assert truth["opt_out"].sum() == round(small_world.opt_out_share * train)
    refused = truth[truth["opt_out"]]
    assert set(zip(refused["signal"], refused["signal_value"], strict=True)) == set(OPT_OUTS)
    match = truth["caption_match"].value_counts()
    assert match["none"] == round(small_world.wrong_caption_share * train)
    assert match["one_attribute"] == round(small_world.one_wrong_attribute_share * train)
    assert match["junk"] == round(small_world.junk_caption_share * train)
    assert truth["unsafe"].sum() == round(small_world.unsafe_share * train)
    assert truth["watermark"].sum() == round(small_world.watermark_share * train)
    assert set(truth["transform"].dropna()) == {"exact", *TRANSFORMS}
    assert (truth["transform"] == "exact").sum() == round(small_world.exact_duplicate_share * train)


def test_planted_opt_outs_forbid_our_use_and_the_other_tags_do_not() -> None:
    assert all(_is_refused(*signal) for signal in OPT_OUTS)
    assert not any(_is_refused(*signal) for signal in NO_OPT_OUTS)
    assert any("unavailable_after" in value for _, value in OPT_OUTS)  # the one that img2dataset misses
    assert {signal for signal, _ in OPT_OUTS} > set(HOST_FILES)


def _is_refused(signal: str, value: str) -> bool:
    """Judge one signal as a scraper would that asks for the rules of a host and then for a picture."""
    files = {
        "robots.txt": f"User-agent: *\n{value}".format(path="/a.png"),
        "tdmrep.json": f'[{{"location": "/a.png", "tdm-reservation": {value}}}]',
    }

    def get(url: str) -> PlainAnswer:
        is_there = signal in HOST_FILES and url.endswith(signal)
        return PlainAnswer(200, [], files[signal].encode()) if is_there else PlainAnswer(404, [], b"")

    permission = Permission(ScrapeConfig(), get)
    so_far = permission.may_ask("http://host/a.png")
    if signal in HOST_FILES:
        return so_far.is_refused
    return permission.may_keep("http://host/a.png", [(signal, value)], so_far).is_refused


def test_addresses_betray_nothing(entries: list[Entry]) -> None:
    """Every address has the form of every other, but for redirects and the host that refuses."""
    forms = Counter(entry.url.split("/")[3] for entry in entries)
    assert set(forms) == {"pictures", "old"}
    assert {entry.redirected for entry in entries if "/old/" in entry.url} == {True}


def test_exact_copies_are_the_same_bytes_and_near_copies_nearly_the_same_pixels(
    entries: list[Entry], small_world: WorldConfig
) -> None:
    by_uid = {entry.uid: entry for entry in entries}
    for copy in [entry for entry in entries if entry.copy_of is not None][:40]:
        ours, source = (picture_bytes(picture_of(e, small_world)) for e in (copy, by_uid[copy.copy_of]))
        assert copy.url != by_uid[copy.copy_of].url
        assert (ours == source) == (copy.transform == "exact")
        pixels = [np.asarray(Image.open(io.BytesIO(data)).resize((32, 32)), float) for data in (ours, source)]
        assert np.sqrt(((pixels[0] - pixels[1]) ** 2).mean()) < 45, copy.transform


def test_siblings_of_a_template_are_other_pictures(entries: list[Entry]) -> None:
    by_uid = {entry.uid: entry for entry in entries}
    siblings = [entry for entry in entries if entry.family is not None]
    assert siblings
    for sibling in siblings:
        base = by_uid[sibling.family]
        assert sibling.scene.latents != base.scene.latents
        assert sibling.scene.dx == base.scene.dx
        assert sibling.scene.noise_seed != base.scene.noise_seed
    shown = Counter((sibling.family, sibling.scene.latents) for sibling in siblings)
    assert max(shown.values()) == 1  # no two of a family show the same


def test_a_wrong_caption_does_not_describe_its_picture(truth: pd.DataFrame) -> None:
    one = truth[truth["caption_match"] == "one_attribute"]
    assert all(row.wrong_attribute in row.named.split() for row in one.itertuples())


def test_tiny_and_broken_pictures_are_what_they_should_be(
    entries: list[Entry], small_world: WorldConfig
) -> None:
    bodies = {entry.fault: picture_bytes(picture_of(entry, small_world)) for entry in entries if entry.fault}
    assert bodies["empty"] == b""
    assert bodies["html"].startswith(b"<!doctype html>")
    assert max(Image.open(io.BytesIO(bodies["tiny"])).size) < 8
    with pytest.raises(OSError):
        Image.open(io.BytesIO(bodies["truncated"])).load()


def test_shares_that_leave_no_honest_row_are_refused() -> None:
    greedy = WorldConfig(images=2000, failure_share=0.5, wrong_caption_share=0.4, junk_caption_share=0.3)
    with pytest.raises(ValueError, match="leave no row without a fault"):
        plan_world(greedy, 0)


def test_rendering_depends_on_the_picture_alone(entries: list[Entry], small_world: WorldConfig) -> None:
    picture: Picture = picture_of(entries[0], small_world)
    assert picture_bytes(picture) == picture_bytes(Picture(*picture))
