"""From samples to figures: features of every set of pictures, then the measures of the metrics room."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from unclip_pipeline.clip.encoder import Encoder
from unclip_pipeline.corpus.images import decode_rgb
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.metrics.alignment import unit
from unclip_pipeline.metrics.copies import Found, Group, copy_metrics, nearest_table, search
from unclip_pipeline.metrics.estimate import Estimate, flatten, mean_of
from unclip_pipeline.metrics.evaluation import (
    Captions,
    Described,
    Extractors,
    embedding_agreement,
    embedding_distances,
    picture_metrics,
    shifted,
)
from unclip_pipeline.metrics.memorisation import embedding_vectors, tile_vectors
from unclip_pipeline.metrics.pictures import psnr_db, psnr_gain, resized, sharpness
from unclip_pipeline.metrics.random_features import random_extractor_id, random_features
from unclip_pipeline.pipelines.evaluate.plan import EvaluateConfig, Plan, Rows
from unclip_pipeline.progress import progress
from unclip_pipeline.seeds import seed_of, seeded_numpy
from unclip_pipeline.unclip import UnClip

WAYS = ("text", "prior", "image")
INDEX_ROWS = 2048
NEIGHBOURS_KEPT = 3

Pictures = UInt8[Tensor, "n 3 s s"]


def measure_pictures(
    samples: pd.DataFrame, dataset: Dataset, plan: Plan, encoder: Encoder, config: EvaluateConfig
) -> dict[str, Any]:
    """Measure drawn pictures of held-out captions, and the true ones, against other held-out pictures."""
    drawn = {way: described(pictures_of(_way(samples, way)), encoder) for way in WAYS}
    side_px = pictures_of(samples.head(1)).shape[-1]
    real, others = (described(_real(dataset, rows, side_px), encoder) for rows in (plan.heldout, plan.others))
    words, own = np.unique(_way(samples, "prior")["caption"].to_numpy(str), return_inverse=True)
    captions = Captions(encoder.texts(words.tolist()).double().cpu().numpy(), own)
    names = Extractors(encoder.embedder_id, random_extractor_id())
    found = picture_metrics(drawn, real, others, captions, neighbours=config.neighbours, extractors=names)
    return {**flatten(found), "r_precision_chance": 1 / len(words), "extractor_clip": names.clip,
            "extractor_random": names.random}  # fmt: skip


def measure_embeddings(
    samples: pd.DataFrame, dataset: Dataset, plan: Plan, config: EvaluateConfig, *, seed: int
) -> dict[str, float]:
    """Measure the prior's embeddings, and the text's as they are and shifted, against the true pictures'."""
    train = dataset.rows("train")
    gap_from = unit(dataset.text_embeddings(train)).mean(0), unit(dataset.image_embeddings(train)).mean(0)
    figures: dict[str, Estimate] = {}
    for held_out, rows, prefix in ((True, plan.heldout, ""), (False, plan.seen, "seen_")):
        texts, real = unit(dataset.text_embeddings(rows)), unit(dataset.image_embeddings(rows))
        prior = np.stack(_way(samples, "prior", held_out)["embedding"].to_numpy())
        predicted = {"text": texts, "shifted": shifted(texts, *gap_from), "prior": unit(prior)}
        among = min(config.retrieval_among, len(rows))
        order = seeded_numpy(seed, "evaluate", "retrieval", prefix).permutation(len(rows))
        found = embedding_agreement(predicted, real, among=among, order=order, extractor=dataset.embedder_id)
        if held_out:
            others = dataset.image_embeddings(plan.others)
            found |= embedding_distances(predicted, real, others, extractor=dataset.embedder_id)
        figures |= {f"{prefix}{name}": estimate for name, estimate in found.items()}
    flat = flatten(figures)
    for rows, prefix in ((plan.heldout, ""), (plan.seen, "seen_")):
        flat[f"{prefix}embedding_retrieval_chance"] = 1 / min(config.retrieval_among, len(rows))
    flat["embedding_fd_ratio"] = flat["embedding_fd_prior"] / flat["embedding_fd_shifted"]
    return flat


def measure_upsampler(unclip: UnClip, dataset: Dataset, plan: Plan, *, seed: int) -> dict[str, float]:
    """Shrink true pictures and enlarge them again: nearer to the truth than bicubic, and as sharp?"""
    rows = plan.heldout
    truth = _real(dataset, rows, unclip.image_side_px)
    small = resized(truth, unclip.small_side_px)
    embeddings = torch.from_numpy(dataset.image_embeddings(rows))
    ours = unclip.upsample(small, embeddings, seed=seed_of(seed, "evaluate", "upsampler"))
    bicubic = resized(small, unclip.image_side_px)
    figures = {
        "upsampler_psnr_db": mean_of(psnr_db(ours, truth)),
        "bicubic_psnr_db": mean_of(psnr_db(bicubic, truth)),
        "upsampler_gain_db": psnr_gain(ours, bicubic, truth),
        "upsampler_sharpness_ratio": mean_of(sharpness(ours) / np.maximum(sharpness(truth), 1e-9)),
        "bicubic_sharpness_ratio": mean_of(sharpness(bicubic) / np.maximum(sharpness(truth), 1e-9)),
    }
    return flatten(figures)


def measure_copies(
    samples: pd.DataFrame, dataset: Dataset, plan: Plan, encoder: Encoder, config: EvaluateConfig
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Look for training pictures among the samples; pictures that cannot be copies set the threshold."""
    train = dataset.rows("train")
    place = {int(row): number for number, row in enumerate(train)}
    heldout_rows = np.concatenate([plan.heldout, plan.others])
    drawn = {name: _way(samples, "prior", name == "heldout") for name in ("heldout", "seen")}
    references = {"heldout": heldout_rows, "seen": plan.seen_references}
    own = {name: np.array([place.get(int(row), -1) for row in rows]) for name, rows in references.items()}
    side = config.copies_side_px
    tiles = {
        name: Group(
            tile_vectors(resized(pictures_of(drawn[name]), side)),
            tile_vectors(_real(dataset, references[name], side)),
            own[name],
        )
        for name in drawn
    }
    clip = {
        name: Group(
            embedding_vectors(_embed(encoder, pictures_of(drawn[name]))),
            embedding_vectors(dataset.image_embeddings(references[name])),
            own[name],
        )
        for name in drawn
    }
    by_tiles = search(tiles, _tile_index(dataset, train, side), k=NEIGHBOURS_KEPT)
    by_clip = search(clip, [embedding_vectors(dataset.image_embeddings(train))], k=NEIGHBOURS_KEPT)
    found = copy_metrics(
        by_tiles,
        by_clip,
        false_positive_rate=config.copies_false_positive_rate,
        extractor=dataset.embedder_id,
    )
    estimates = {name: value for name, value in found.items() if isinstance(value, Estimate)}
    numbers = {name: value for name, value in found.items() if not isinstance(value, Estimate)}
    return {**flatten(estimates), **numbers}, _nearest(drawn, dataset.uids(train), by_tiles, by_clip)


def pictures_of(samples: pd.DataFrame) -> Pictures:
    """Decode samples."""
    return (
        torch.from_numpy(np.stack([decode_rgb(png) for png in samples["png"]]))
        .permute(0, 3, 1, 2)
        .contiguous()
    )


def _nearest(
    drawn: dict[str, pd.DataFrame], uids: list[str], tiles: dict[str, Found], clip: dict[str, Found]
) -> pd.DataFrame:
    named = np.array(uids)
    tables = [
        nearest_table(drawn[group]["sample"].tolist(), named, found[group].samples, measure)
        for measure, found in (("tiles", tiles), ("clip", clip))
        for group in drawn
    ]
    return pd.concat(tables, ignore_index=True)


def _way(samples: pd.DataFrame, way: str, held_out: bool = True) -> pd.DataFrame:
    return samples[(samples["condition"] == way) & (samples["held_out"] == held_out)]


def _real(dataset: Dataset, rows: Rows, side_px: int) -> Pictures:
    return torch.from_numpy(dataset.images(rows, side_px))


def described(pictures: Pictures, encoder: Encoder) -> Described:
    """Describe pictures by their embeddings, by random features and by how sharp they are."""
    return Described(unit(_embed(encoder, pictures)), random_features(pictures), sharpness(pictures))


def _embed(encoder: Encoder, pictures: Pictures) -> Float[np.ndarray, "n d"]:
    return torch.cat([encoder.images(part).cpu() for part in pictures.split(256)]).double().numpy()


def _tile_index(dataset: Dataset, rows: Rows, side_px: int) -> Iterator[Float[Tensor, "tiles _ p"]]:
    chunks = [rows[start : start + INDEX_ROWS] for start in range(0, len(rows), INDEX_ROWS)]
    for chunk in progress(chunks, label="evaluate: training pictures", unit="chunk"):
        yield tile_vectors(_real(dataset, chunk, side_px))
