"""The page of the filters: what each rule took, its scores with the threshold, the pictures on both sides."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from unclip_pipeline.cards import html
from unclip_pipeline.cards.sheets import find_samples, sheet
from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.curation.rules import FilterConfig, Rule, active_rules, overlap
from unclip_pipeline.pipelines.filter.plots import histogram, waterfall_bars

SHOWN = 20
LANGUAGES_SHOWN = 30


def filter_page(
    verdicts: pd.DataFrame,
    scrape_ledger: pd.DataFrame,
    raw_shards: Path,
    config: FilterConfig,
    probes: Mapping[str, float] | None = None,
) -> str:
    """Write the page; the pictures shown are read from the raw shards."""
    rows = verdicts.merge(
        scrape_ledger[["uid", "shard", "caption", "split"]], on="uid", validate="one_to_one"
    )
    rules = active_rules(config, probes)
    kept = int((rows["fate"] == KEPT).sum())
    failing = [rule for rule in rules if rows[f"fails_{rule.name}"].any()]
    return html.page(
        "Filter",
        html.paragraph(
            f"{kept:,} of {len(rows):,} scraped pairs pass every rule. A pair is counted under the first "
            "rule it fails, in the order of the table; every rule answers for every pair."
        ),
        html.section(
            "Rules",
            html.figure(waterfall_bars(waterfall(rows, rules))),
            html.table(rule_table(rows, rules), {"share that fails": html.percent}),
        ),
        html.section("Rules together", *_together(rows, failing)),
        _fit_section(rows, config),
        *(_rule_section(rule, rows, raw_shards) for rule in failing),
        _quiet_section(rows, [rule for rule in rules if rule not in failing]),
        html.section("Languages", *_languages(rows)),
    )


def waterfall(rows: pd.DataFrame, rules: Sequence[Rule]) -> pd.DataFrame:
    """Count what each rule took in its turn, and what was left then."""
    taken = [int((rows["fate"] == f"filter.{rule.name}").sum()) for rule in rules]
    table = pd.DataFrame({"rule": [rule.name for rule in rules], "takes": taken})
    return table.assign(left=len(rows) - table["takes"].cumsum())


def rule_table(rows: pd.DataFrame, rules: Sequence[Rule]) -> pd.DataFrame:
    """Count by rule: rows it ends, rows it would drop alone, and how many of those only it drops."""
    answers = rows[[f"fails_{rule.name}" for rule in rules]]
    alone = answers.sum(axis="columns") == 1
    steps = waterfall(rows, rules)
    return pd.DataFrame(
        {
            "rule": steps["rule"],
            "goes by": [", ".join(rule.needs) for rule in rules],
            "limit": [rule.limit for rule in rules],
            "fate of": steps["takes"],
            "left": steps["left"],
            "fails": answers.sum().to_numpy(),
            "fails this rule only": [int((answers[name] & alone).sum()) for name in answers],
            "share that fails": answers.mean().to_numpy(),
        }
    )


def _together(rows: pd.DataFrame, failing: Sequence[Rule]) -> list[str]:
    """Show the intersections of rules: what each pair of them would keep."""
    if not failing:
        return [html.paragraph("No rule fails any pair.")]
    names = [rule.name for rule in failing]
    table = overlap(rows).loc[names, names]
    return [
        html.paragraph(
            "How many pairs would be kept if there were only the rule of the row and that of the column; on the "
            "diagonal, that rule alone."
        ),
        html.table(table.rename_axis("rule").rename(columns=_words).rename(index=_words).reset_index()),
    ]


def _fit_section(rows: pd.DataFrame, config: FilterConfig) -> str:
    limits = {"evidence": config.min_evidence, "similarity": config.min_similarity}
    if config.top_fraction < 1 or config.drop_lowest_share > 0:
        limits[config.rank_by] = lowest_passing(rows, config.rank_by)
    return html.section(
        "How well captions fit",
        html.paragraph(
            "Evidence says how much likelier a caption is for its picture than for a random one, in nats: 0 "
            "is chance, 1 is e times likelier. Similarity is the raw cosine. The line is the threshold; where "
            "a share is asked for, the lowest score that passed."
        ),
        *(html.figure(histogram(rows, column, limit)) for column, limit in limits.items()),
    )


def lowest_passing(rows: pd.DataFrame, column: str) -> float | None:
    """Find the lowest score that the similarity rule let pass."""
    passing = rows.loc[~rows["fails_similarity_too_low"], column].dropna()
    return float(passing.min()) if len(passing) else None


def _rule_section(rule: Rule, rows: pd.DataFrame, raw_shards: Path) -> str:
    """Show a rule that fails some: scores and sheets where it goes by a number, captions where it reads them."""
    title = f"{_words(rule.name)}: {int(rows[f'fails_{rule.name}'].sum()):,} pairs fail"
    shown = rows[rows["image_error"] == ""]
    drawn = [html.figure(histogram(shown, rule.score, rule.limit))] if rule.score else []
    if rule.name == "similarity_too_low":
        drawn = []  # stands above already
    if rule.name.startswith("caption_"):
        return html.section(title, *drawn, _most_common("caption", rule, rows))
    if rule.name == "image_undecodable":
        return html.section(title, _most_common("image_error", rule, rows))
    return html.section(title, *drawn, *_sheets(rule, shown, raw_shards))


def _sheets(rule: Rule, rows: pd.DataFrame, raw_shards: Path) -> list[str]:
    ordered = rows.sort_values("uid")
    if rule.score:
        ordered = rows.sort_values([rule.score, "uid"], ascending=[rule.drops == "below", True])
    failing, passing = ordered[ordered[f"fails_{rule.name}"]], ordered[ordered["fate"] == KEPT]
    groups = {"dropped": failing.head(SHOWN)}
    if rule.score:
        groups = {
            "dropped most surely": failing.head(SHOWN),
            "dropped least surely": failing.tail(SHOWN),
            "kept least surely": passing.head(SHOWN),
            "kept most surely": passing.tail(SHOWN),
        }
    samples = find_samples(raw_shards, pd.concat(groups.values()).drop_duplicates("uid"))
    return [piece for title, group in groups.items() for piece in _sheet(title, group, rule, samples)]


def _sheet(title: str, group: pd.DataFrame, rule: Rule, samples: dict) -> list[str]:
    notes = group[rule.score].map("{:.2f}".format) if rule.score else group["caption"]
    columns = ["uid", *([rule.score] if rule.score else []), "caption"]
    return [
        sheet(samples, group["uid"].tolist(), title, notes=notes),
        html.details("captions", html.table(group[columns])),
    ]


def _most_common(column: str, rule: Rule, rows: pd.DataFrame) -> str:
    counts = rows.loc[rows[f"fails_{rule.name}"], column].value_counts().head(SHOWN)
    return html.table(counts.rename("pairs").rename_axis(_words(column)).reset_index())


def _quiet_section(rows: pd.DataFrame, quiet: Sequence[Rule]) -> str:
    """Fold away the rules that failed nobody, with how near the nearest pair came."""
    nearest = []
    for rule in quiet:
        scores = rows[rule.score] if rule.score in rows else None
        nearest.append(None if scores is None else scores.min() if rule.drops == "below" else scores.max())
    table = pd.DataFrame(
        {
            "rule": [rule.name for rule in quiet],
            "goes by": [", ".join(rule.needs) for rule in quiet],
            "limit": [rule.limit for rule in quiet],
            "nearest": nearest,
        }
    )
    return html.section("Rules that no pair fails", html.details(f"{len(quiet)} rules", html.table(table)))


def _languages(rows: pd.DataFrame) -> list[str]:
    by_language = rows.assign(kept=rows["fate"] == KEPT).groupby("language", observed=True)
    table = by_language.agg(
        pairs=("uid", "size"), kept=("kept", "sum"), kept_share=("kept", "mean"),
        similarity_median=("similarity", "median"), evidence_median=("evidence", "median"),
    ).sort_values("pairs", ascending=False)  # fmt: skip
    shown = table.head(LANGUAGES_SHOWN).rename(columns=_words).reset_index()
    return [
        html.paragraph(
            "The language of the caption, as a small model guesses it; unknown where it is not sure, as with "
            "most captions of a few words."
        ),
        html.table(shown, {"kept share": html.percent}),
    ]


def _words(name: str) -> str:
    return name.replace("_", " ")
