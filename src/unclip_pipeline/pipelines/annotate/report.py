"""The page of annotation: what people are asked, what they said, and what it says of the filter."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from unclip_pipeline.cards import html
from unclip_pipeline.cards.sheets import find_samples, sheet
from unclip_pipeline.corpus.shards import Sample
from unclip_pipeline.curation.annotation.study import ConceptStudy, LabelStudy
from unclip_pipeline.curation.calibration import CalibratedConcept, CalibrationConfig, Share, curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 30
TICKS = (0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999)
REASONS = {
    "answered_again": "answers that the same person gave again later; the last one counts",
    "cancelled": "annotations that were cancelled or skipped",
    "empty": "annotations in which nothing was chosen; that is no \u201cno\u201d",
    "not_annotated": "tasks that nobody has looked at",
    "other_kinds": "annotations with boxes, ratings or texts alone",
    "unsure": "answers \u201cunsure\u201d",
}


def annotate_page(
    study: LabelStudy, chosen: pd.DataFrame, raw_shards: Path, config: CalibrationConfig
) -> str:
    """Write the page; the pictures shown are read from the raw shards."""
    wanted = [*chosen["uid"], *(uid for one in study.concepts.values() for uid in _disputed(one))]
    rows = study.rows[study.rows["uid"].isin(wanted)]
    samples = find_samples(raw_shards, rows)
    return html.page(
        "Annotate",
        html.paragraph(
            f"{len(study.labels.uids):,} pictures are labelled, {len(chosen):,} are waiting to be in round "
            f"{study.labels.rounds + 1}. The folder annotation_tasks holds a Label Studio project and a plain "
            "table; what comes back goes into data/01_raw/annotations, and filter and annotate are run again."
        ),
        html.section("What labels say", *_overview(study)),
        *(_concept_section(one, study, samples, config) for one in study.concepts.values()),
        html.section("To be labelled", *_choice(study, chosen, samples)),
    )


def _overview(study: LabelStudy) -> list[str]:
    if not study.concepts:
        return [html.paragraph("The filter has no concept to ask about: name one under filter.concepts.")]
    rows = [row for one in study.concepts.values() for row in _figures(one)]
    aside = [(REASONS[name], count) for name, count in study.labels.set_aside.items()]
    strange = sorted(set(study.labels.answers["concept"]) - set(study.concepts))
    return [
        html.table(pd.DataFrame(rows)),
        html.paragraph(
            "Shares are estimated for all pictures that the filter judged: a labelled picture counts one over "
            "the chance it had to be drawn. With labels, a picture is judged by probes that did not see it. "
            "Intervals are Wilson's at the effective number of labels, in brackets."
        ),
        *([html.table(pd.DataFrame(aside, columns=["not counted", "entries"]))] if aside else []),
        *([html.paragraph(f"Labels of no concept of the filter: {', '.join(strange)}.")] if strange else []),
    ]


def _figures(one: ConceptStudy) -> list[dict[str, object]]:
    stages = [("rule alone", one.rule)]
    if not one.calibrated.reason:
        stages.append(("with labels", one.now))
    return [
        {
            "concept": one.concept,
            "by": stage,
            "labels": one.calibrated.labels,
            "yes": one.calibrated.positives,
            "precision": _write(precision),
            "recall": _write(recall),
        }
        for stage, (precision, recall) in stages
    ]


def _write(share: Share) -> str:
    if share.value is None or share.low is None or share.high is None:
        return "\u2013"
    return f"{share.value:.3f}, {share.low:.3f} to {share.high:.3f} [{share.n:.0f}]"


def _concept_section(
    one: ConceptStudy, study: LabelStudy, samples: dict[str, Sample], config: CalibrationConfig
) -> str:
    return html.section(
        one.concept.replace("_", " "),
        html.paragraph(_verdict(one.calibrated, config)),
        *([] if one.calibrated.reason else [html.figure(threshold_figure(one.calibrated, config))]),
        html.facts(_agreement(one)),
        *_disputes(one, samples),
    )


def _verdict(calibrated: CalibratedConcept, config: CalibrationConfig) -> str:
    if calibrated.reason:
        return f"The filter keeps its rule: {calibrated.reason}."
    return (
        f"A linear probe on the image embeddings, learnt from {calibrated.labels} labels "
        f"({calibrated.positives} yes), takes the place of the prompts; words of the caption count as before. "
        "A picture shows the concept from a "
        f"probability of {calibrated.threshold:.3g} on: {calibrated.note} "
        f"(wanted: {config.wanted_recall:g} at a precision of {config.min_precision:g} or more)."
    )


def _agreement(one: ConceptStudy) -> dict[str, object]:
    return {
        "people": one.agreement.annotators,
        "pictures that several people labelled": one.agreement.shared,
        "Krippendorff\u2019s alpha (1 is agreement, 0 chance)": one.agreement.alpha,
        "Cohen\u2019s kappa of the two who share most": one.agreement.kappa,
        "ties, which do not count": len(one.ties),
    }


def threshold_figure(calibrated: CalibratedConcept, config: CalibrationConfig) -> "Figure":
    """Draw precision and recall over the threshold, with the one that was chosen."""
    from matplotlib.figure import Figure

    labelled = calibrated.labelled
    steps = curve(
        labelled["probability"].to_numpy(float),
        labelled["label"].to_numpy(bool),
        labelled["weight"].to_numpy(float),
        config.confidence,
    )
    drawing = Figure(figsize=(7, 2.8))
    axes = drawing.subplots()
    lines = (("recall", "#4b78a8", "-"), ("recall_low", "#4b78a8", ":"), ("precision", "#c9a15a", "-"))
    for name, colour, style in lines:
        label = name.replace("_low", ", lower bound")
        axes.plot(steps["threshold"], steps[name], style, color=colour, label=label, drawstyle="steps-pre")
    axes.axvline(calibrated.threshold, color="black", linewidth=1, linestyle="--", label="chosen")
    axes.axhline(config.wanted_recall, color="#888", linewidth=0.6)
    axes.set(xlabel=f"probability of {calibrated.concept}", ylim=(0, 1.04), xscale="logit")
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.minorticks_off()
    axes.set_xlim(*_span(steps["threshold"], calibrated.threshold))
    axes.legend(frameon=False, loc="lower left", fontsize=8)
    return drawing


def _span(thresholds: pd.Series, chosen: float) -> tuple[float, float]:
    """Leave room on both sides of an axis of probabilities, within it."""
    low, high = min(thresholds.min(), chosen), max(thresholds.max(), chosen)
    return max(1e-6, low / 2), min(1 - 1e-6, 1 - (1 - high) / 2)


def _disputed(one: ConceptStudy) -> list[str]:
    table = one.labelled
    return [*table.loc[table["label"] != table["now"], "uid"], *one.ties]


def _disputes(one: ConceptStudy, samples: dict[str, Sample]) -> list[str]:
    """Show where people and filter differ: labels to look at again, or pictures to learn from."""
    if one.labelled.empty and not one.ties:
        return []
    table, chances = one.labelled, {}
    if one.calibrated.labelled is not None:
        chances = dict(one.calibrated.labelled[["uid", "probability"]].itertuples(index=False, name=None))
    groups = {
        "people say yes, the filter no (with its probability)": table.loc[
            table["label"] & ~table["now"], "uid"
        ].tolist(),
        "people say no, the filter yes (with its probability)": table.loc[
            ~table["label"] & table["now"], "uid"
        ].tolist(),
        "as many people say yes as no": [uid for uid in one.ties if uid in samples],
    }
    return [
        sheet(
            samples,
            uids[:SHOWN],
            f"{title}: {len(uids)}" if uids else title,
            notes=[f"{chances[uid]:.2f}" if uid in chances else "" for uid in uids[:SHOWN]],
        )
        for title, uids in groups.items()
    ]


def _choice(study: LabelStudy, chosen: pd.DataFrame, samples: dict[str, Sample]) -> list[str]:
    if chosen.empty:
        return [html.paragraph("Every picture is labelled: there is nothing left to ask.")]
    by_reason = chosen.groupby("chosen_for", sort=True)["inclusion_probability"]
    table = by_reason.agg(["size", "min", "median", "max"]).reset_index()
    table.columns = ["chosen for", "pictures", "least chance", "median", "largest"]
    places = {uid: place for place, uid in enumerate(study.rows["uid"])}
    sheets = []
    for reason, group in chosen.groupby("chosen_for", sort=True):
        uids = group["uid"].tolist()[:SHOWN]
        one = study.concepts.get(str(reason))
        notes = [f"{one.chance[places[uid]]:.2f}" for uid in uids] if one else []
        title = f"{reason}, {len(group)} pictures" + (", with the probability so far" if one else "")
        sheets.append(sheet(samples, uids, title, notes=notes))
    return [
        html.paragraph(
            "Chosen at random with unequal chances: half of a concept\u2019s share goes to pictures in doubt, "
            "half to likely ones, and some are drawn evenly, which find what no score suspects. The chance of "
            "each is kept with it, so that estimates hold for all pictures."
        ),
        html.table(table, dict.fromkeys(table.columns[2:], "{:.2%}".format)),
        *sheets,
    ]
