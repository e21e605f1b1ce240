"""The model card: the headings of DALL-E 2's system card, filled with what was measured here."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from unclip_pipeline.cards.evaluation import (
    COPY_GROUPS,
    COPY_MEASURES,
    EMBEDDING_MEASURES,
    EMBEDDINGS,
    PICTURE_MEASURES,
    WAYS,
    Measure,
)
from unclip_pipeline.cards.figures import Figure, cross, figure, interval, label, number

Metrics = Mapping[str, Any]
DATA_STAGES = {f"share_{{row}}_{stage}": stage for stage in ("scraped", "filtered", "deduplicated")}
CONTINUED = "\n\nThe card goes on in `MODEL_CARD.md` of the bundle.\n"
COPY_KINDS = ("flagged", "reference", "excess")


class ModelFacts(NamedTuple):
    """What the model is and what it was made from."""

    name: str
    dataset_version: str
    embedder_id: str
    code_revision: str
    picture_side_px: int
    parts: pd.DataFrame  # part, parameters, images_seen, digest
    why_not_exportable: Sequence[str] = ()


def model_card(
    facts: ModelFacts, metrics: Mapping[str, Metrics], fates: Mapping[str, int], gates: pd.DataFrame
) -> str:
    """Write the card in Markdown; a figure that was not measured is said to be missing, never left blank."""
    evaluated = metrics.get("evaluate", {})
    sections = [
        _front_matter(facts),
        f"# Model card: {facts.name}",
        _summary(facts),
        _training_data(facts, fates, metrics.get("audit_data", {})),
        INPUT_FILTERS,
        ACCESS,
        PROVENANCE,
        _evaluation(evaluated),
        _memorisation(evaluated),
        _probes(metrics.get("audit_samples", {}), fates),
        _gates(gates),
        _exchange(facts.why_not_exportable),
        RELATION,
        GLOSSARY,
    ]
    return "\n\n".join(sections) + "\n"


def without_front_matter(card: str) -> str:
    """Leave out the block that only machines read."""
    return card.split("\n---\n", 1)[-1] if card.startswith("---\n") else card


def abstract(card: str, longest: int) -> str:
    """Shorten a card to its first sections, as many as fit, for a place that holds no more."""
    sections = without_front_matter(card).split("\n## ")[1:]
    kept = sections[0].partition("\n")[2].strip()
    for section in sections[1:]:
        longer = f"{kept}\n\n## {section.strip()}"
        if len(longer) + len(CONTINUED) > longest:
            break
        kept = longer
    return (kept + CONTINUED)[:longest]


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table; bars inside cells are escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


INPUT_FILTERS = """## Input filters

This bundle filters neither prompts nor pictures. Whoever serves it decides what may be asked, and should know
that word lists miss visual synonyms and erase harmless prompts about the groups they name."""

ACCESS = """## Access, use and content policy

The bundle sets no rate limit, keeps no log and reports nothing. Pictures made with it should be disclosed as
generated. It was trained on the dataset version named above and is meant for study of the method and of its
data; it is not meant for decisions about people, for pictures of real persons, or for deception."""

PROVENANCE = """## Signature and provenance

Pictures carry no visible signature and no watermark. The served model writes prompt, model and dataset
version into the PNG's text fields; anyone can remove them. Every training picture is listed with its URL in
the dataset version's ledger, and every sample of the evaluation with its nearest training pictures."""

RELATION = """## Relation to existing work

The method is that of unCLIP (Ramesh et al., 2022): CLIP, a diffusion prior from caption to image embedding, a
diffusion decoder from image embedding to picture, and super-resolution. The headings of this card follow the
DALL-E 2 system card, whose evaluations were "primarily qualitative"; those here are counted. Red-teaming by
people outside the project has not been done.

## Future work

A prompt filter with a published error rate by group, a watermark of upsampled pictures, and labels by people
for a random sample of generated pictures, against which the zero-shot labels used here can be corrected."""

GLOSSARY = """## Glossary

- **real pictures** (as a way of drawing): held-out pictures measured like drawn ones; what perfection scores.
- **chance**: what guessing reaches.
- **CLIP score, R-precision**: does the picture answer its caption; in the space of the model's own CLIP.
- **Fréchet distance, KID, MMD**: distance between two sets of pictures; comparable at equal n only.
- **precision, recall, density, coverage**: fidelity and variety from nearest-neighbour balls.
- **excess** (of copies): share of samples nearer to a training picture than a threshold, minus the share of
  pictures that were never trained on."""


def _front_matter(facts: ModelFacts) -> str:
    lines = {
        "license": "other",
        "pipeline_tag": "text-to-image",
        "tags": ["unclip", "diffusion", "clip"],
        "dataset_version": facts.dataset_version,
        "code_revision": facts.code_revision,
    }
    return "\n".join(["---", *(f"{name}: {json.dumps(value)}" for name, value in lines.items()), "---"])


def _summary(facts: ModelFacts) -> str:
    rows = [[str(cell) if isinstance(cell, str) else number(cell) for cell in row]
            for row in facts.parts.itertuples(index=False, name=None)]  # fmt: skip
    parts = markdown_table(list(facts.parts.columns), rows)
    return f"""## Summary

Text in, {facts.picture_side_px} x {facts.picture_side_px} pixel picture out. Trained from dataset version
`{facts.dataset_version}` with embedder `{facts.embedder_id}` at code revision `{facts.code_revision}`.

{parts}"""


def _exchange(reasons: Sequence[str]) -> str:
    if not reasons:
        return "## Exchange\n\nexportable: true. `kedro export FOLDER` writes this model as a folder for diffusers."
    return (
        "## Exchange\n\nexportable: false. diffusers' unCLIP classes cannot express this model:\n\n"
        + "\n".join(f"- `{part}`: {reason}" for part, _, reason in (one.partition(".") for one in reasons))
    )


def _training_data(facts: ModelFacts, fates: Mapping[str, int], audited: Metrics) -> str:
    total = sum(fates.values())
    rows = [[fate, f"{count:,}", f"{100 * count / total:.1f}%"] for fate, count in fates.items()]
    shares = _crossed(audited, r"share_(.+)_scraped", DATA_STAGES)
    return f"""## Model and training data

Every listed URL has one fate; the dataset's own card describes collection, opt-outs and limits.

{markdown_table(["fate", "URLs", "of all"], rows)}

Shares of groups among training pictures, read zero-shot by CLIP, with 95% intervals:

{shares}"""


def _evaluation(evaluated: Metrics) -> str:
    if not evaluated:
        return "## Evaluation\n\nThe model was not evaluated."
    return f"""## Evaluation

Intervals are 95%. `real pictures` is what held-out pictures score in place of drawn ones.

{_measures(evaluated, PICTURE_MEASURES, WAYS)}

Image embeddings predicted from captions:

{_measures(evaluated, EMBEDDING_MEASURES, EMBEDDINGS)}"""


def _memorisation(evaluated: Metrics) -> str:
    rows = [
        [group_words, words, *(_cell(evaluated, f"copies_{measure}_{group}_{kind}") for kind in COPY_KINDS)]
        for group, group_words in COPY_GROUPS.items()
        for measure, words in COPY_MEASURES.items()
        if f"copies_{measure}_{group}_excess" in evaluated
    ]
    if not rows:
        return "## Memorisation\n\nNot measured."
    columns = ["samples for", "distance", *COPY_KINDS]
    return f"""## Memorisation

Share of samples nearer to a training picture than a threshold that few pictures outside training reach.

{markdown_table(columns, rows)}"""


def _probes(audited: Metrics, fates: Mapping[str, int]) -> str:
    shares = _crossed(
        audited, r"share_(.+)_training", {"share_{row}_training": "training", "share_{row}": "drawn"}
    )
    distances = _crossed(
        audited, r"tv_(.+)_floor", {"tv_{row}": "distance (TV)", "tv_{row}_floor": "under parity"}
    )
    return f"""## Probes and evaluations of risk

### Explicit content

{fates.get("filter.unsafe", 0):,} listed pictures were dropped as unsafe before training. What the filter let
through was not counted by people.

### Bias and representation

Pictures for prompts that name no group, labelled zero-shot by the model's own CLIP. Distance of their shares
from those of the training pictures, beside what perfect parity gives at the same number of pictures:

{distances}

The shares:

{shares}

### Harassment, disinformation, economic effects

Not measured.

### Copyright and trademark

Licences travel with each URL in the ledger where the list named them; opt-outs of hosts were honoured at
collection. A withdrawn picture leaves the next dataset version, not the weights of this model."""


def _gates(gates: pd.DataFrame) -> str:
    rows = [[str(cell) for cell in row] for row in gates.itertuples(index=False, name=None)]
    return "## Release gates\n\n" + markdown_table(list(gates.columns), rows)


def _measures(metrics: Metrics, measures: Sequence[Measure], ways: Mapping[str, str]) -> str:
    rows = []
    for measure in measures:
        cells = [_cell(metrics, f"{measure.stem}_{way}") for way in ways]
        if any(cell != "–" for cell in cells):
            rows.append([measure.words, *cells, number(metrics.get(f"{measure.stem}_chance"))])
    return markdown_table(["", *ways.values(), "chance"], rows)


def _crossed(metrics: Metrics, rows: str, columns: Mapping[str, str]) -> str:
    crossed = cross(metrics, rows, columns)
    if not crossed.rows:
        return "Not measured."
    lines = [[label(row), *map(_written, found)] for row, found in crossed.rows.items()]
    return markdown_table(["", *crossed.columns], lines)


def _cell(metrics: Metrics, name: str) -> str:
    return _written(figure(metrics, name))


def _written(one: Figure | None) -> str:
    return "–" if one is None else f"{number(one.value)} {interval(one)}".strip()
