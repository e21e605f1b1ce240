"""What goes out to people: a Label Studio project, and a plain table for those without one."""

import base64
import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pandas as pd
from jaxtyping import Float
from numpy import ndarray
from PIL import Image

from unclip_pipeline.corpus.images import decode_rgb
from unclip_pipeline.corpus.shards import Sample
from unclip_pipeline.curation.annotation.exports import CHOICES, NO, YES
from unclip_pipeline.curation.annotation.label_page import label_page

TASKS, CONFIG, TABLE, PAGE, GUIDE = "tasks.json", "config.xml", "labels.csv", "label.html", "README.md"
_KINDS = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
_GUIDE = """# Pictures to label

{count} pictures of round {round}; of each: {concepts}. Answer `yes`, `no` or `unsure`; leave out what you did
not look at. Whoever answers sees what the picture shows, not what its caption says.

With Label Studio: make a project, paste `{config}` under Settings > Labeling Interface > Code, import
`{tasks}` (the pictures are inside it, nothing needs to be served), label, and export as JSON, JSON-MIN or CSV.

Without: open `{page}` in a browser, answer with the keys y, n and u, and download the CSV. Or fill the columns
{concepts} of `{table}` by hand; the pictures are at their `url`. A column `annotator` tells people apart;
without one, each file is one person.

Then put the file into `data/01_raw/annotations/` under a name of its own, and run `filter` and `annotate` again.
Leave `uid`, `round` and `inclusion_probability` as they are: the estimates of precision and recall rest on them.
"""


def label_studio_tasks(
    chosen: pd.DataFrame,
    samples: Mapping[str, Sample],
    probabilities: Mapping[str, Float[ndarray, " n"]],
    claims: Mapping[str, Sequence[bool]],
    *,
    side_px: int,
    model_version: str,
) -> list[dict[str, Any]]:
    """Write chosen rows as Label Studio tasks, each with the present verdict as its prediction.

    `claims` and `probabilities` are by concept, in the order of `chosen`; none: tasks without predictions.
    """
    return [
        {
            "data": {
                "uid": row.uid,
                "url": row.url,
                "caption": row.caption,
                "round": int(row.round),
                "inclusion_probability": float(row.inclusion_probability),
                "chosen_for": row.chosen_for,
                "image": data_uri(samples[row.uid], side_px),
            },
            **(
                {"predictions": [_prediction(row.uid, place, probabilities, claims, model_version)]}
                if claims
                else {}
            ),
        }
        for place, row in enumerate(chosen.itertuples(index=False))
    ]


def _prediction(
    uid: str,
    place: int,
    probabilities: Mapping[str, Float[ndarray, " n"]],
    claims: Mapping[str, Sequence[bool]],
    model_version: str,
) -> dict[str, Any]:
    """Say what the filter says; the score is that of the answer it is least sure of."""
    sureness = [max(chance, 1 - chance) for chance in (float(p[place]) for p in probabilities.values())]
    return {
        "model_version": model_version,
        "score": round(min(sureness), 4),
        "result": [
            {
                "id": f"{uid}-{concept}",
                "type": "choices",
                "from_name": concept,
                "to_name": "image",
                "value": {"choices": [YES if claimed[place] else NO]},
            }
            for concept, claimed in claims.items()
        ],
    }


def labeling_config(concepts: Sequence[str]) -> str:
    """Write Label Studio's labeling interface: a picture, and one question per concept."""
    questions = "\n".join(
        f"  <Header value={quoteattr(f'Does the picture show: {concept}?')}/>\n"
        f'  <Choices name={quoteattr(concept)} toName="image" choice="single" showInline="true">\n'
        + "".join(f'    <Choice value="{choice}"/>\n' for choice in CHOICES)
        + "  </Choices>"
        for concept in concepts
    )
    return (
        f'<View>\n  <Image name="image" value="$image"/>\n  <Text name="caption" value="$caption"/>\n'
        f"{questions}\n</View>\n"
    )


def plain_table(chosen: pd.DataFrame, concepts: Sequence[str]) -> str:
    """Write chosen rows as CSV with an empty column per concept, safe to open in a spreadsheet.

    A text that a spreadsheet would run as a formula gets an apostrophe; the uid is what comes back.
    """
    stream = io.StringIO()
    columns = ["uid", "url", "caption", "round", "inclusion_probability", "chosen_for"]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*columns, *concepts])
    for row in chosen[columns].itertuples(index=False, name=None):
        writer.writerow([*map(_harmless, row), *([""] * len(concepts))])
    return stream.getvalue()


def data_uri(sample: Sample, side_px: int) -> str:
    """Embed a picture: its own bytes if no side is longer, else reduced and encoded as JPEG."""
    picture = Image.fromarray(decode_rgb(sample.image))
    content, kind = sample.image, _KINDS[sample.extension]
    if max(picture.size) > side_px:
        picture.thumbnail((side_px, side_px), Image.Resampling.BICUBIC)
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=90)
        content, kind = stream.getvalue(), "image/jpeg"
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def write_tasks(
    folder: Path, chosen: pd.DataFrame, tasks: list[dict[str, Any]], concepts: Sequence[str]
) -> None:
    """Write the files that people are handed."""
    number = int(chosen["round"].max()) if len(chosen) else 0
    guide = _GUIDE.format(
        count=len(chosen), round=number, concepts=", ".join(f"`{name}`" for name in concepts) or "nothing",
        config=CONFIG, tasks=TASKS, table=TABLE, page=PAGE,
    )  # fmt: skip
    (folder / TASKS).write_text(json.dumps(tasks, indent=1, ensure_ascii=False), encoding="utf-8")
    (folder / CONFIG).write_text(labeling_config(concepts), encoding="utf-8")
    (folder / TABLE).write_text(plain_table(chosen, concepts), encoding="utf-8")
    (folder / PAGE).write_text(label_page(tasks, concepts), encoding="utf-8")
    (folder / GUIDE).write_text(guide, encoding="utf-8")


def _harmless(value: object) -> object:
    if isinstance(value, str) and value[:1] in tuple("=+-@\t\r"):
        return "'" + value
    return value
