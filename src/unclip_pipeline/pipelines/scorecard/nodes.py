"""Adapters between the catalog and the comparison with the planted truth."""

from pathlib import Path
from typing import Any

import pandas as pd

from unclip_pipeline.cards import html
from unclip_pipeline.cards.figures import Figure
from unclip_pipeline.cards.tables import figure_table
from unclip_pipeline.world import score_data as data
from unclip_pipeline.world.judge_config import JudgeConfig
from unclip_pipeline.world.scenes import WorldConfig
from unclip_pipeline.world.score_pictures import pictures_of, samples_table, score_bias_samples, score_samples
from unclip_pipeline.world.scorecard import SECTIONS, estimates, exact_checks

MISMATCHES_SHOWN = 50
PREFACE = (
    "Everything here was planted by the renderer and is read by this page alone: no stage saw it. The groups "
    "are abstract and stand for no people. Scores on this world do not carry over to web data; they tell "
    "whether the machinery works."
)


def score_data(
    truth: pd.DataFrame,
    url_list: pd.DataFrame,
    harvested_url_list: pd.DataFrame,
    scrape_ledger: pd.DataFrame,
    filter_verdicts: pd.DataFrame,
    duplicate_verdicts: pd.DataFrame,
    audit_labels: pd.DataFrame,
    ledger: pd.DataFrame,
    deduplicated: dict[str, int | float],
) -> tuple[dict[str, int | float], pd.DataFrame]:
    """Compare the fates of all URLs with the planted ones."""
    scores = {
        **data.score_accounting(url_list, scrape_ledger, ledger, truth),
        **data.score_harvest(truth, url_list, harvested_url_list),
        **data.score_scrape(truth, scrape_ledger),
        **data.score_filter(truth, filter_verdicts),
        **data.score_duplicates(truth, duplicate_verdicts),
        **data.score_heldout(truth, ledger),
        **data.score_labels(truth, audit_labels),
        "decontamination_left": deduplicated["decontamination_left"],
    }
    return scores, data.fate_mismatches(truth, scrape_ledger)


def score_clip(
    truth: pd.DataFrame, embeddings: Path, clip_weights: Any, world: WorldConfig, seed: int
) -> dict[str, int | float]:
    """Measure what CLIP names right on held-out pictures."""
    from unclip_pipeline.clip.encoder import load_encoder
    from unclip_pipeline.corpus.embeddings import read_embeddings
    from unclip_pipeline.world.zero_shot import score_zero_shot

    encoder = load_encoder(clip_weights)
    found = read_embeddings(embeddings)
    return score_zero_shot(
        truth, found.uid, found.image, lambda captions: encoder.texts(captions).numpy(), world, seed=seed
    )


def score_pictures(
    truth: pd.DataFrame,
    samples: pd.DataFrame,
    bias_samples: pd.DataFrame,
    world: WorldConfig,
    judge: JudgeConfig,
    seed: int,
) -> tuple[dict[str, int | float], pd.DataFrame]:
    """Let the judge read what the models drew."""
    from unclip_pipeline.world.judge import check_judge, train_judge

    eye = train_judge(world, judge, seed=seed)
    drawn = eye.read(pictures_of(samples["png"].tolist(), world.side_px))
    audited = eye.read(pictures_of(bias_samples["png"].tolist(), world.side_px))
    scores = {
        **check_judge(eye, world, judge, seed=seed),
        **score_samples(truth, samples, drawn, world),
        **score_bias_samples(bias_samples, audited, world),
    }
    return scores, samples_table(truth, samples, drawn)


def write_scorecard(
    data_scores: dict[str, int | float],
    clip_scores: dict[str, int | float],
    picture_scores: dict[str, int | float],
    mismatches: pd.DataFrame,
    judged_samples: pd.DataFrame,
) -> tuple[dict[str, int | float], str]:
    """Put every score on one page."""
    metrics = {**data_scores, **clip_scores, **picture_scores}
    checks = exact_checks(metrics)
    metrics["exact_checks_failed"] = int((checks["verdict"] != "holds").sum())
    measured = {title: estimates(metrics, pattern) for title, pattern in SECTIONS.items()}
    page = html.page(
        "Scorecard against the planted truth",
        html.paragraph(PREFACE),
        html.section("What must hold exactly", html.table(checks)),
        *(html.section(title, _figures(frame)) for title, frame in measured.items() if len(frame)),
        html.section(
            f"Scrape fates that differ from the planted ones: {len(mismatches)}",
            html.table(mismatches.head(MISMATCHES_SHOWN)),
        ),
        html.section(
            "Pictures as the judge reads them",
            html.details(f"{len(judged_samples)} pictures", html.table(judged_samples)),
        ),
    )
    return metrics, page


def _figures(estimated: pd.DataFrame) -> str:
    rows = estimated.astype(object).where(estimated.notna(), None)
    return figure_table([Figure(*row) for row in rows.itertuples(index=False, name=None)])
