"""What is known of a concept before anybody labels: its prompts' evidence, its caption words, its rule."""

import logging
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from unclip_pipeline.corpus.embeddings import Embeddings
from unclip_pipeline.corpus.vectors import unit
from unclip_pipeline.curation.annotation.labels import Labels
from unclip_pipeline.curation.calibration import CalibrationConfig, Vectors, calibrate
from unclip_pipeline.curation.captions import mentions
from unclip_pipeline.curation.filter_config import FilterConfig
from unclip_pipeline.curation.rules import rule_of_concept

logger = logging.getLogger(__name__)


def concept_scores(facts: pd.DataFrame, config: FilterConfig) -> dict[str, Float[np.ndarray, "n _"]]:
    """Give by concept what else than the vectors tells of it: prompts' evidence, and if its words are said.

    `facts` needs caption, and score_<concept> where a concept has prompts.
    """
    scores = {}
    for name, concept in config.active_concepts.items():
        columns = [facts[f"score_{name}"]] if concept.prompts else []
        columns += [said(facts, name, config)] if concept.words else []
        scores[name] = np.stack([np.asarray(column, float) for column in columns], axis=1)
    return scores


def said(facts: pd.DataFrame, name: str, config: FilterConfig) -> Bool[np.ndarray, " n"]:
    """Tell which captions say a concept by one of its words."""
    words = config.active_concepts[name].words
    return mentions(facts["caption"], words).to_numpy(bool) if words else np.zeros(len(facts), bool)


def ruled(facts: pd.DataFrame, name: str, config: FilterConfig) -> Bool[np.ndarray, " n"]:
    """Answer a concept's rule as it is without any label: by prompts and words."""
    rule = rule_of_concept(name, config.active_concepts[name])
    return rule.answer(facts, config).to_numpy(bool)


def add_probes(
    facts: pd.DataFrame,
    parts: Callable[[], Iterable[Embeddings]],
    labels: Labels,
    config: CalibrationConfig,
    rules: FilterConfig,
    *,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Add `probe_<concept>` for each concept that the labels suffice for, and give its threshold.

    `facts` are the rows to judge; embeddings are found by uid, shard by shard.
    """
    if labels.answers.empty:
        return facts, {}
    scores = concept_scores(facts, rules)
    found = calibrate(labels, facts["uid"].to_numpy(), unit_images(parts), scores, config, seed=seed)
    for name, one in found.items():
        if one.labels and one.reason:
            logger.warning("the filter keeps the rule of %r, whatever its labels say: %s", name, one.reason)
    used = {name: one for name, one in found.items() if not one.reason}
    return (
        facts.assign(**{f"probe_{name}": one.probability for name, one in used.items()}),
        {name: one.threshold for name, one in used.items()},
    )


def unit_images(parts: Callable[[], Iterable[Embeddings]]) -> Vectors:
    """Pass over the unit image vectors of embeddings."""
    return lambda: ((part.uid, unit(part.image, part.uid.tolist())) for part in parts())
