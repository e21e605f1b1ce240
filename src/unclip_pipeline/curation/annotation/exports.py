"""What comes back from people: Label Studio's JSON, JSON-MIN and CSV, and the plain CSV of `annotate`."""

import io
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

YES, NO, UNSURE = "yes", "no", "unsure"
CHOICES = (YES, NO, UNSURE)
ABOUT_A_ROW = frozenset(
    "uid url caption image round inclusion_probability chosen_for width height id inner_id annotator "
    "annotation_id created_at updated_at lead_time completed_by was_cancelled ground_truth agreement "
    "project split task".split()
)
"""Columns of a flat export that are no concept; so are names that begin with an underscore."""


class Answer(NamedTuple):
    """What one person said of one concept in one picture."""

    uid: str
    concept: str
    annotator: str
    answer: bool
    inclusion_probability: float  # NaN where the export does not say
    round: int  # 0 where the export does not say
    updated_at: str
    file: str


class Export(NamedTuple):
    """The answers of one file, and how many entries held none, by reason."""

    answers: list[Answer]
    set_aside: Counter[str]


def read_export(path: Path) -> Export:
    """Read one file by its suffix and content; raises ValueError if it is none of the four forms."""
    if path.suffix == ".csv":
        return _flat_export(_table(path), path)
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise ValueError(f"{path} is not JSON ({fault}); export it again, or take it away") from fault
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{path} must hold a list of tasks; export as JSON, JSON-MIN or CSV")
    if any("data" in entry for entry in entries):
        return _task_export(entries, path)
    return _flat_export(entries, path)


def _table(path: Path) -> list[dict[str, Any]]:
    """Read a CSV as spreadsheets write it: with or without a byte order mark, with commas or semicolons."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as fault:
        raise ValueError(f"{path} is not UTF-8 ({fault}); save it as CSV UTF-8") from fault
    head = text.partition("\n")[0]
    if not head.strip():
        raise ValueError(f"{path} has no header; export it again, or take it away")
    separator = ";" if head.count(";") > head.count(",") else ","
    frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, sep=separator)
    return frame.to_dict("records")


def _task_export(tasks: list[dict[str, Any]], path: Path) -> Export:
    """Read Label Studio's full JSON: every annotation of every task, cancelled ones set aside."""
    answers: list[Answer] = []
    set_aside: Counter[str] = Counter()
    for task in tasks:
        annotations = task.get("annotations") or []
        if not _is_task(task, annotations):
            raise ValueError(
                f"{path} has a task that is none of Label Studio's ({json.dumps(task)[:120]}): `data` must be names "
                "and values, `annotations` a list, each `result` a list of regions; export it again as JSON"
            )
        set_aside["not_annotated"] += not annotations
        for annotation in annotations:
            if annotation.get("was_cancelled"):
                set_aside["cancelled"] += 1
            elif not annotation.get("result"):
                set_aside["empty"] += 1
            else:
                facts = {**_facts(task["data"], path), "updated_at": str(annotation.get("updated_at") or "")}
                said = _task_choices(annotation["result"])
                answers += _answers(said, _annotator(annotation), facts, path, set_aside)
    return Export(answers, +set_aside)


def _is_task(task: Mapping[str, Any], annotations: Any) -> bool:
    """Tell whether a task has the form that Label Studio gives it, as far as it is read here."""
    if not isinstance(task.get("data"), Mapping) or not isinstance(annotations, list):
        return False
    if not all(isinstance(one, Mapping) for one in annotations):
        return False
    results = [one.get("result") or [] for one in annotations]
    return all(isinstance(one, list) and all(map(_is_region, one)) for one in results)


def _is_region(region: Any) -> bool:
    if not isinstance(region, Mapping):
        return False
    return region.get("type") != "choices" or {"from_name", "value"} <= region.keys()


def _flat_export(rows: list[dict[str, Any]], path: Path) -> Export:
    """Read one row per annotation, one column per concept: JSON-MIN and both kinds of CSV."""
    answers: list[Answer] = []
    set_aside: Counter[str] = Counter()
    for row in rows:
        said = {
            name: _one_text(value)
            for name, value in row.items()
            if name not in ABOUT_A_ROW and not name.startswith("_")
        }
        if str(row.get("was_cancelled", "")).lower() in ("true", "1"):
            set_aside["cancelled"] += 1
        elif not any(said.values()):
            set_aside["empty"] += 1
        else:
            facts = {**_facts(row, path), "updated_at": str(row.get("updated_at") or "")}
            given = {name: text for name, text in said.items() if text}
            annotator = str(row.get("annotator") or row.get("completed_by") or path.stem)
            answers += _answers(given, annotator, facts, path, set_aside)
    return Export(answers, +set_aside)


def _facts(data: Mapping[str, Any], path: Path) -> dict[str, Any]:
    uid = str(data.get("uid") or "")
    if not uid:
        raise ValueError(
            f"{path} has an annotation without a uid (it has {sorted(data)[:6]}): only tasks written by "
            "`annotate` can come back; add a uid to each, or take the file away"
        )
    return {
        "uid": uid,
        "inclusion_probability": _number(data, "inclusion_probability", uid, path, above=0.0, most=1.0),
        "round": int(_number(data, "round", uid, path, above=-1.0, most=1e6, empty=0.0)),
    }


def _number(
    data: Mapping[str, Any],
    name: str,
    uid: str,
    path: Path,
    *,
    above: float,
    most: float,
    empty: float = math.nan,
) -> float:
    """Read what `annotate` wrote beside the uid, whichever decimal mark a spreadsheet made of it."""
    text = str(data.get(name, "")).strip()
    if text in ("", "None"):
        return empty
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not above < value <= most:
        raise ValueError(
            f"{path}: {name} must lie in ({above:g}, {most:g}], got {text!r} for {uid}; leave the column as "
            "`annotate` wrote it, or empty"
        )
    return value


def _task_choices(result: list[dict[str, Any]]) -> dict[str, str]:
    """Take the choices of an annotation by concept; boxes, ratings and texts are for others."""
    return {
        str(region["from_name"]): _one_text(region["value"])
        for region in result
        if region.get("type") == "choices"
    }


def _one_text(value: Any) -> str:
    """Read a choice however it is wrapped; several choices stay several words, which no label is."""
    if isinstance(value, Mapping):
        value = value.get("choices")
    if isinstance(value, list):
        value = " ".join(map(str, value))
    return "" if value is None or value != value else str(value).strip()


def _answers(
    said: Mapping[str, str], annotator: str, facts: Mapping[str, Any], path: Path, set_aside: Counter[str]
) -> Iterator[Answer]:
    """Yield what was said plainly; count what was not; refuse what was never asked."""
    if not said:
        set_aside["other_kinds"] += 1
    for concept, text in said.items():
        word = text.casefold()
        if word not in CHOICES:
            raise ValueError(
                f"{path}: the label of {concept!r} must be one of {', '.join(CHOICES)}, got {text!r} for "
                f"{facts['uid']}; correct it, or begin the name of a column of your own with an underscore"
            )
        if word == UNSURE:
            set_aside["unsure"] += 1
        else:
            yield Answer(concept=concept, annotator=annotator, answer=word == YES, file=path.name, **facts)


def _annotator(annotation: Mapping[str, Any]) -> str:
    """Name who annotated: `completed_by` is a number in some versions and an object in others."""
    by = annotation.get("completed_by")
    if isinstance(by, Mapping):
        by = by.get("id", by.get("email"))
    return "" if by is None else str(by)
