"""The filters as one table of rules: every rule answers for every row, the first that fails is the fate."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from unclip_pipeline.corpus.fates import KEPT, check_fates
from unclip_pipeline.corpus.intervals import share_metrics
from unclip_pipeline.curation.captions import is_boilerplate, mentions, normalised
from unclip_pipeline.curation.concepts import Concept, concept_rule
from unclip_pipeline.curation.filter_config import RANKS, FilterConfig
from unclip_pipeline.curation.languages import UNKNOWN
from unclip_pipeline.curation.quantiles import Keys, Scores, lowest_share, uid_numbers

__all__ = ["FilterConfig", "Rule", "active_rules", "filter_metrics", "judge", "rule_of_concept"]

Answer = Callable[[pd.DataFrame, FilterConfig], pd.Series]
ROWS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Rule:
    """One line of the table: `answer` tells which rows fail, from the columns in `needs`."""

    name: str  # the fate is filter.<name>
    needs: tuple[str, ...]
    limits: tuple[str, ...]  # fields of FilterConfig; the rule is on while any of them is set
    answer: Answer
    drops: str = ""  # "below" or "above" the limit on the first column, where it goes by a number
    limit: float | None = None

    @property
    def score(self) -> str:
        """Name the column that the rule goes by, if that is a number."""
        return self.needs[0] if self.drops else ""


def below(name: str, column: str, field: str) -> Rule:
    """Make a rule that fails what lies below a limit."""
    return Rule(name, (column,), (field,), lambda facts, c: facts[column] < getattr(c, field), "below")


def above(name: str, column: str, field: str) -> Rule:
    """Make a rule that fails what lies above a limit."""
    return Rule(name, (column,), (field,), lambda facts, c: facts[column] > getattr(c, field), "above")


def _any_above(**limits: str) -> Answer:
    """Fail what lies above any of the limits that are set; columns by field."""

    def answer(facts: pd.DataFrame, config: FilterConfig) -> pd.Series:
        found = pd.Series(False, index=facts.index)
        for field, column in limits.items():
            if getattr(config, field) is not None:
                found |= facts[column] > getattr(config, field)
        return found

    return answer


def any_above(name: str, **limits: str) -> Rule:
    """Make a rule of several upper limits; columns by field."""
    return Rule(name, tuple(limits.values()), tuple(limits), _any_above(**limits))


def _boilerplate(facts: pd.DataFrame, config: FilterConfig) -> pd.Series:
    return is_boilerplate(facts["caption"], config.boilerplate, config.boilerplate_patterns)


def _language(facts: pd.DataFrame, config: FilterConfig) -> pd.Series:
    unknown = facts["language"] == UNKNOWN
    return ~facts["language"].isin(config.languages) & ~(unknown & config.keep_unknown_language)


def _similarity(facts: pd.DataFrame, config: FilterConfig) -> pd.Series:
    """Fail by the absolute limits, by the share of all, and by the share of what passed the other rules."""
    lowest = -np.inf if config.min_similarity is None else config.min_similarity
    limits = facts["language"].map(config.min_similarity_by_language).astype(float).fillna(lowest)
    low = facts["similarity"] < limits
    if config.min_evidence is not None:
        low |= facts["evidence"] < config.min_evidence
    low |= _lowest(facts, config.rank_by, facts["image_error"] == "", 1 - config.top_fraction)
    return low | _lowest(facts, config.rank_by, facts["passed"] & ~low, config.drop_lowest_share)


BEFORE_CONCEPTS = (  # in the order in which they name the fate
    Rule("caption_is_filename", ("caption_is_filename",), (), lambda facts, _: facts["caption_is_filename"]),
    below("caption_too_short", "caption_words", "min_caption_words"),
    any_above(
        "caption_too_long",
        max_caption_words="caption_words",
        max_caption_characters="caption_characters",
    ),
    any_above(
        "caption_repetitive",
        max_repeated_words="repeated_words",
        max_repeated_pairs="repeated_pairs",
        max_character_run="character_run",
    ),
    any_above(
        "caption_not_text", max_symbol_share="symbol_share", max_control_characters="control_characters"
    ),
    Rule("caption_boilerplate", ("caption",), ("boilerplate", "boilerplate_patterns"), _boilerplate),
    Rule("caption_language", ("language",), ("languages",), _language),
    above("caption_shared", "images_of_caption", "max_images_per_caption"),
    Rule("image_undecodable", ("image_error",), (), lambda facts, _: facts["image_error"] != ""),
    below("image_too_small", "side_px", "min_side_px"),
    above("image_too_elongated", "aspect", "max_aspect"),
    below("image_blank", "contrast", "min_contrast"),
    below("image_grey", "colour", "min_colour"),
    above("image_text_heavy", "text_density", "max_text_density"),
    above("image_placeholder", "captions_of_image", "max_captions_per_image"),
)
NEAR_REFERENCE = below("reference_too_far", "references_in_cluster", "min_references")


def active_rules(config: FilterConfig, probes: Mapping[str, float] | None = None) -> list[Rule]:
    """List the rules that are on, in order. `probes` gives the limit of each concept that labels calibrate."""
    concepts = [
        rule_of_concept(name, concept, (probes or {}).get(name))
        for name, concept in config.active_concepts.items()
    ]
    after = _bound([NEAR_REFERENCE, _similarity_rule(config.rank_by)], config)
    return [*_bound(BEFORE_CONCEPTS, config), *concepts, *after]


def _similarity_rule(rank_by: str) -> Rule:
    """Name first the score that pairs are ranked by."""
    scores = sorted(RANKS, key=lambda name: name != rank_by)
    limits = [f"min_{name}" for name in scores] + [
        "min_similarity_by_language", "top_fraction", "drop_lowest_share",
    ]  # fmt: skip
    return Rule("similarity_too_low", (*scores, "language", "passed"), tuple(limits), _similarity, "below")


def _bound(rules: Sequence[Rule], config: FilterConfig) -> Iterator[Rule]:
    """Yield the rules that have a limit set, each with the first of them."""
    for rule in rules:
        values = [getattr(config, field) for field in rule.limits]
        if not rule.limits or any(_is_set(value) for value in values):
            has_limit = rule.drops and values[0] is not None
            yield replace(rule, limit=float(values[0]) if has_limit else None)


def _is_set(value: object) -> bool:
    return value is not None and value is not False and (not hasattr(value, "__len__") or len(value) > 0)


def rule_of_concept(name: str, concept: Concept, probe: float | None = None) -> Rule:
    """Make the rule of a concept: seen in the image, or said by the caption.

    Seen is what has at least the probability `probe`, where labels gave one; else its prompts tell.
    """

    def answer(facts: pd.DataFrame, _: FilterConfig) -> pd.Series:
        found = pd.Series(False, index=facts.index)
        if probe is not None:
            found |= facts[f"probe_{name}"] >= probe
        elif concept.prompts:
            found |= facts[f"score_{name}"] > concept.max_evidence
            if concept.neutral_prompts:
                found &= facts[f"margin_{name}"] > concept.min_margin
        return found | mentions(facts["caption"], concept.words) if concept.words else found

    seen = [f"score_{name}"] * bool(concept.prompts) + [f"margin_{name}"] * bool(concept.neutral_prompts)
    needs = ([f"probe_{name}"] if probe is not None else seen) + ["caption"] * bool(concept.words)
    rule = Rule(concept_rule(name), tuple(needs), ("concepts",), answer)
    if needs[0] == "caption":
        return rule
    return replace(rule, drops="above", limit=float(probe if probe is not None else concept.max_evidence))


def judge(
    facts: pd.DataFrame, config: FilterConfig, probes: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Answer every rule for every row and name the fate.

    `facts` has one row per uid: caption, width, height, sha256, the measures of `curation.measures`,
    similarity, evidence, and score_, neutral_ or probe_<concept> where there are any.
    """
    rules = active_rules(config, probes)
    facts = _complete(facts, config)
    _check(facts, rules)
    fails = pd.DataFrame(index=facts.index)
    for rule in rules:
        answered = facts.assign(passed=~fails.any(axis="columns")) if "passed" in rule.needs else facts
        fails[rule.name] = rule.answer(answered, config).astype(bool)
    first = fails.idxmax(axis="columns").radd("filter.")
    fate = first.where(fails.any(axis="columns"), KEPT).rename("fate")
    check_fates(fate)
    scores = facts.drop(columns=_NO_SCORES, errors="ignore")
    verdicts = pd.concat([scores, fails.add_prefix("fails_"), fate], axis="columns")
    return verdicts.sort_values("uid", ignore_index=True)


_NO_SCORES = ["caption", "width", "height", "sha256", "caption_is_filename", "embedding_error"]


def _complete(facts: pd.DataFrame, config: FilterConfig) -> pd.DataFrame:
    """Add what the rules need and what follows from other columns; call a doubtful language unknown."""
    sides, alike = facts[["width", "height"]].astype("int64"), normalised(facts["caption"])
    doubtful = facts["language_probability"] < config.min_language_probability
    margins = {
        f"margin_{name}": facts[f"score_{name}"] - facts[f"neutral_{name}"]
        for name, concept in config.active_concepts.items()
        if concept.neutral_prompts
    }
    errors = facts["image_error"]
    if "embedding_error" in facts:
        errors = errors.where(errors != "", facts["embedding_error"])
    return facts.drop(columns=[name for name in facts if name.startswith("neutral_")]).assign(
        image_error=errors,
        language=facts["language"].where(~doubtful, UNKNOWN),
        side_px=sides.min(axis=1),
        aspect=sides.max(axis=1) / sides.min(axis=1),
        images_of_caption=facts.groupby(alike)["sha256"].transform("nunique").astype("int64"),
        captions_of_image=alike.groupby(facts["sha256"]).transform("nunique").astype("int64"),
        **margins,
    )


def _check(facts: pd.DataFrame, rules: Sequence[Rule]) -> None:
    """Raise if a rule has nothing to go by, or a score is no number though its image could be decoded."""
    if facts.empty:
        raise ValueError("there is no pair to judge: nothing was scraped; look at `scrape_report`")
    needed = sorted({column for rule in rules for column in rule.needs} - {"passed"})
    missing = [column for column in needed if column not in facts]
    if missing:
        raise ValueError(f"the rules need {missing}, which nothing has measured; run `filter` again")
    decodable = facts["image_error"] == ""
    for column in needed:
        absent = facts[column].isna() & decodable
        if absent.any():
            raise ValueError(
                f"every pair needs a {column}, {int(absent.sum())} have none, such as "
                f"{facts['uid'][absent].iloc[0]}; run `embed` and `filter` again"
            )


def _lowest(facts: pd.DataFrame, rank_by: str, eligible: pd.Series, share: float) -> pd.Series:
    """Mark the lowest share of the eligible rows: exactly floor(share * n) of them, ties by uid."""
    scores, uids = facts[rank_by].to_numpy(np.float64), uid_numbers(facts["uid"].tolist())
    rows = np.flatnonzero(eligible.to_numpy(bool))

    def chunks() -> Iterator[tuple[Scores, Keys]]:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            yield scores[part], uids[part]

    return eligible & lowest_share(chunks, share).takes(scores, uids)


def filter_metrics(verdicts: pd.DataFrame) -> dict[str, int | float]:
    """Count what the rules did: rows kept, rows by fate, and rows that each rule would drop by itself."""
    counts = verdicts["fate"].value_counts()
    kept = int(counts.get(KEPT, 0))
    answers = [name for name in verdicts if name.startswith("fails_")]
    rules = [name.removeprefix("fails_") for name in answers]
    return {
        **share_metrics("kept_share", kept, len(verdicts)),
        "kept": kept,
        **{f"dropped_{rule}": int(counts.get(f"filter.{rule}", 0)) for rule in rules},
        **{name: int(verdicts[name].sum()) for name in answers},
        "similarity_median": float(verdicts["similarity"].median()),
        "evidence_median": float(verdicts["evidence"].median()),
    }


def overlap(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Count the rows that each pair of rules would keep together; on the diagonal, each rule alone."""
    answers = [name for name in verdicts if name.startswith("fails_")]
    passes = (~verdicts[answers]).astype("int64").rename(columns=lambda name: name.removeprefix("fails_"))
    return passes.T @ passes
