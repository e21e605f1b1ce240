"""The card of a dataset version, and its description for machines (Croissant 1.1).

The headings follow Gebru et al. (2021), "Datasheets for Datasets"; every number is measured.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from unclip_pipeline.cards.figures import label
from unclip_pipeline.corpus.fates import KEPT
from unclip_pipeline.provenance import code_revision


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """What only its makers can say of a dataset."""

    name: str
    motivation: str
    uses: str
    limits: str
    contact: str = "not given"
    licence: str = "mixed: see the licence of each pair in the ledger"

    def __post_init__(self) -> None:
        for field in ("name", "motivation", "uses", "limits"):
            if not getattr(self, field).strip():
                raise ValueError(
                    f"dataset_card.{field} must say something; an empty card accounts for nothing"
                )


def dataset_card(
    card: DatasetCard,
    facts: Mapping[str, Any],
    ledger: pd.DataFrame,
    steps: pd.DataFrame,
    audit: Mapping[str, float],
) -> str:
    """Write the card in Markdown."""
    kept = ledger[ledger["fate"] == KEPT]
    licences = kept["licence"].fillna("not stated").value_counts()
    sections = {
        "Motivation": card.motivation,
        "Composition": _composition(facts, kept) + "\n\n" + _table(licences.rename_axis("licence"), "pairs"),
        "Collection and preprocessing": _waterfall(steps),
        "Balance": _audit(audit),
        "Uses": card.uses,
        "Limits": card.limits,
        "Maintenance": (
            f"Contact: {card.contact}. Licence: {card.licence}. To withdraw a picture, name it in "
            "`takedown_list.csv` and run the pipelines again: the next version is without it."
        ),
    }
    head = f"# {card.name}\n\nVersion `{facts['version']}`, made by code revision `{code_revision()}`.\n"
    return head + "".join(f"\n## {title}\n\n{text}\n" for title, text in sections.items())


def croissant(card: DatasetCard, facts: Mapping[str, Any], folder: Path) -> str:
    """Describe the version as Croissant JSON-LD: files with their digests, and the fields of a pair."""
    files = [_file(folder, name, kind) for name, kind in _files(facts)]
    source = {"fileObject": {"@id": "index.parquet"}}
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"pairs/{name}",
            "name": name,
            "dataType": kind,
            "source": {**source, "extract": {"column": name}},
        }
        for name, kind in {
            "uid": "sc:Text",
            "caption": "sc:Text",
            "split": "sc:Text",
            "weight": "sc:Float",
        }.items()
    ]
    document = {
        "@context": {
            "@vocab": "https://schema.org/",
            "sc": "https://schema.org/",
            "cr": "http://mlcommons.org/croissant/",
            "rai": "http://mlcommons.org/croissant/RAI/",
            "dct": "http://purl.org/dc/terms/",
            "conformsTo": "dct:conformsTo",
        },
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": card.name,
        "description": card.motivation,
        "license": card.licence,
        "version": facts["version"],
        "rai:dataUseCases": card.uses,
        "rai:dataLimitations": card.limits,
        "rai:dataCollection": "URLs fetched once each, opt-outs obeyed; see card.md and the ledger",
        "distribution": files,
        "recordSet": [{"@type": "cr:RecordSet", "@id": "pairs", "name": "pairs", "field": fields}],
    }
    return json.dumps(document, indent=2) + "\n"


def _files(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    shards = [(f"shards/{shard}.tar", "application/x-tar") for shard in sorted(facts["shards"])]
    return [("index.parquet", "application/vnd.apache.parquet"), *shards]


def _file(folder: Path, name: str, kind: str) -> dict[str, str]:
    with (folder / name).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "encodingFormat": kind,
        "sha256": digest,
    }


def _composition(facts: Mapping[str, Any], kept: pd.DataFrame) -> str:
    words = kept["caption"].str.split().str.len()
    return (
        f"{facts['rows']:,} pairs of picture and caption in {len(facts['shards'])} shards: {facts['train']:,} to "
        f"train on and {facts['heldout']:,} held out. Pictures are {int(kept['width'].min())} to "
        f"{int(kept['width'].max())} px wide, captions have {words.mean():.1f} words on average. Beside each pair "
        f"lie its vectors ({facts['embedding_width']}-d, un-normalised) of the embedder `{facts['embedder_id']}`."
    )


def _waterfall(steps: pd.DataFrame) -> str:
    rows = "\n".join(f"| {r.stage} | {r.reason} | {r.pairs:,} | {r.left:,} |" for r in steps.itertuples())
    return f"| stage | reason | pairs | left |\n|---|---|--:|--:|\n{rows}"


def _audit(audit: Mapping[str, float]) -> str:
    shown = {name: value for name, value in audit.items() if f"{name}_low" in audit}
    rows = "\n".join(
        f"| {label(name)} | {value:.3f} | {audit[f'{name}_low']:.3f} to {audit[f'{name}_high']:.3f} "
        f"| {int(audit[f'{name}_n']):,} |"
        for name, value in shown.items()
    )
    return f"| measured | value | 95% interval | n |\n|---|--:|---|--:|\n{rows}" if rows else "Not audited."


def _table(counts: pd.Series, unit: str) -> str:
    rows = "\n".join(f"| {name} | {count:,} |" for name, count in counts.items())
    return f"| {counts.index.name} | {unit} |\n|---|--:|\n{rows}"
