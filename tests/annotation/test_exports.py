import csv
import json
from pathlib import Path
from typing import Any

import pytest

from unclip_pipeline.curation.annotation.exports import read_export

DATA = {
    "uid": "aa",
    "image": "data:image/png;base64,",
    "caption": "x",
    "round": 1,
    "inclusion_probability": 0.25,
}


def choice(concept: str, *words: str) -> dict[str, Any]:
    return {
        "id": "r1",
        "type": "choices",
        "from_name": concept,
        "to_name": "image",
        "value": {"choices": [*words]},
    }


def annotation(*result: dict[str, Any], by: object = 10, **facts: object) -> dict[str, Any]:
    return {"id": 1, "completed_by": by, "result": [*result], "was_cancelled": False, **facts}


def write(
    folder: Path, *annotations: dict[str, Any], data: dict[str, Any] = DATA, name: str = "e.json"
) -> Path:
    path = folder / name
    task = {"id": 1, "data": data, "project": 83, "annotations": [*annotations], "predictions": []}
    path.write_text(json.dumps([task]))
    return path


def test_all_four_forms_say_the_same(tmp_path: Path) -> None:
    full = write(tmp_path, annotation(choice("unsafe", "yes"), choice("watermark", "no"), by=7))
    flat = {
        **DATA,
        "id": 1,
        "annotator": 7,
        "annotation_id": 3,
        "lead_time": 4.2,
        "unsafe": "yes",
        "watermark": "no",
    }
    minimal = tmp_path / "min.json"
    minimal.write_text(json.dumps([flat]))
    table = tmp_path / "ls.csv"
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(flat))
        writer.writeheader()
        writer.writerow(flat)
    plain = tmp_path / "7.csv"
    plain.write_text("uid,caption,round,inclusion_probability,unsafe,watermark\naa,x,1,0.25,Yes, no \n")
    said = {
        tuple(
            (a.uid, a.concept, a.annotator, a.answer, a.inclusion_probability, a.round)
            for a in export.answers
        )
        for export in map(read_export, (full, minimal, table, plain))
    }
    assert said == {(("aa", "unsafe", "7", True, 0.25, 1), ("aa", "watermark", "7", False, 0.25, 1))}


def test_a_cancelled_an_empty_and_an_unsure_annotation_are_no_answers(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        annotation(choice("unsafe", "yes"), was_cancelled=True),
        annotation(),
        annotation(choice("unsafe", "unsure")),
        annotation({"type": "rating", "from_name": "stars", "value": {"rating": 4}}),
    )
    export = read_export(path)
    assert export.answers == []
    assert export.set_aside == {"cancelled": 1, "empty": 1, "unsure": 1, "other_kinds": 1}


def test_a_task_that_nobody_looked_at_is_counted(tmp_path: Path) -> None:
    assert read_export(write(tmp_path)).set_aside == {"not_annotated": 1}


def test_a_row_of_the_plain_table_left_blank_is_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("uid,unsafe,watermark\naa,,\nbb,yes,\n")
    export = read_export(path)
    assert [(answer.uid, answer.concept) for answer in export.answers] == [("bb", "unsafe")]
    assert export.set_aside == {"empty": 1}


@pytest.mark.parametrize("by", [10, "10", {"id": 10, "email": "a@b.example"}])
def test_who_annotated_may_be_a_number_a_word_or_an_object(tmp_path: Path, by: object) -> None:
    (answer,) = read_export(write(tmp_path, annotation(choice("unsafe", "no"), by=by))).answers
    assert answer.annotator == "10"


def test_a_label_that_was_never_offered_names_file_label_and_uid(tmp_path: Path) -> None:
    path = write(tmp_path, annotation(choice("unsafe", "maybe")), name="mine.json")
    with pytest.raises(ValueError, match=r"mine\.json.*'unsafe'.*yes, no, unsure.*'maybe'.*aa.*underscore"):
        read_export(path)


def test_two_choices_at_once_are_no_label(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'yes no'"):
        read_export(write(tmp_path, annotation(choice("unsafe", "yes", "no"))))


def test_a_column_of_ones_own_begins_with_an_underscore(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("uid,unsafe,_remark\naa,yes,looks odd\n")
    assert [answer.concept for answer in read_export(path).answers] == ["unsafe"]


def test_a_task_without_uid_and_a_file_of_another_kind_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"e\.json.*without a uid"):
        read_export(write(tmp_path, annotation(choice("unsafe", "yes")), data={"image": "a.png"}))
    (tmp_path / "coco.json").write_text('{"images": []}')
    with pytest.raises(ValueError, match=r"coco\.json.*list of tasks"):
        read_export(tmp_path / "coco.json")
    (tmp_path / "half.json").write_text('[{"data":')
    with pytest.raises(ValueError, match=r"half\.json is not JSON"):
        read_export(tmp_path / "half.json")


def test_a_table_from_a_spreadsheet_of_another_country_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "ann.csv"
    path.write_text("\ufeffuid;round;inclusion_probability;unsafe\naa;1;0,25;yes\n", encoding="utf-8")
    (answer,) = read_export(path).answers
    assert (answer.uid, answer.inclusion_probability, answer.answer) == ("aa", 0.25, True)


@pytest.mark.parametrize(("content", "fault"), [(b"uid,unsafe\n\xe4,yes\n", "not UTF-8"), (b"", "no header")])
def test_a_table_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "odd.csv").write_bytes(content)
    with pytest.raises(ValueError, match=rf"odd\.csv.*{fault}"):
        read_export(tmp_path / "odd.csv")


@pytest.mark.parametrize("chance", ["0", "1.5", "-0.1", "a half", "nan"])
def test_an_impossible_inclusion_probability_is_an_error(tmp_path: Path, chance: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"uid,inclusion_probability,unsafe\naa,{chance},yes\n")
    with pytest.raises(ValueError, match=r"inclusion_probability must lie in \(0, 1\]"):
        read_export(path)


@pytest.mark.parametrize(
    "task",
    [
        {"data": "aa", "annotations": []},
        {"data": DATA, "annotations": {"result": []}},
        {"data": DATA, "annotations": ["yes"]},
        {"data": DATA, "annotations": [{"result": "yes"}]},
        {"data": DATA, "annotations": [{"result": ["yes"]}]},
        {"data": DATA, "annotations": [{"result": [{"type": "choices", "value": {"choices": ["yes"]}}]}]},
    ],
)
def test_a_task_of_another_form_names_the_file_and_the_next_move(tmp_path: Path, task: object) -> None:
    (tmp_path / "e.json").write_text(json.dumps([task]))
    with pytest.raises(
        ValueError, match=r"e\.json has a task that is none of Label Studio's .*export it again"
    ):
        read_export(tmp_path / "e.json")
