import base64
import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from unclip_pipeline.corpus.images import encode_png
from unclip_pipeline.corpus.shards import Sample
from unclip_pipeline.curation.annotation.exports import read_export
from unclip_pipeline.curation.annotation.label_page import label_page
from unclip_pipeline.curation.annotation.tasks import (
    data_uri,
    label_studio_tasks,
    labeling_config,
    plain_table,
    write_tasks,
)

CONCEPTS = ["unsafe", "watermark"]


def sample(uid: str, width: int = 20, height: int = 10) -> Sample:
    return Sample(uid, encode_png(np.full((height, width, 3), 90, np.uint8)), "png", "a caption", {})


CHOSEN = pd.DataFrame(
    {
        "uid": ["aa", "bb"],
        "inclusion_probability": [0.25, 0.5],
        "chosen_for": ["unsafe", "random"],
        "round": [2, 2],
        "url": ["http://a.example/1.png", "http://a.example/2.png"],
        "caption": ["=HYPERLINK(1)", 'says "no", twice'],
    }
)


def tasks() -> list[dict]:
    return label_studio_tasks(
        CHOSEN,
        {uid: sample(uid) for uid in CHOSEN["uid"]},
        {"unsafe": np.array([0.9, 0.2]), "watermark": np.array([0.6, 0.01])},
        {"unsafe": [True, False], "watermark": [True, False]},
        side_px=256,
        model_version="filter, round 2",
    )


def test_a_task_has_the_shape_that_label_studio_imports() -> None:
    first = tasks()[0]
    assert set(first) == {"data", "predictions"}
    assert first["data"]["uid"] == "aa" and first["data"]["inclusion_probability"] == 0.25
    (prediction,) = first["predictions"]
    assert prediction["score"] == 0.6
    assert prediction["result"][0] == {
        "id": "aa-unsafe", "type": "choices", "from_name": "unsafe", "to_name": "image",
        "value": {"choices": ["yes"]},
    }  # fmt: skip


def test_no_two_results_have_one_id() -> None:
    ids = [region["id"] for task in tasks() for region in task["predictions"][0]["result"]]
    assert len(set(ids)) == len(ids) == 4


def test_predictions_name_only_what_the_labeling_interface_has() -> None:
    view = ElementTree.fromstring(labeling_config(CONCEPTS))
    choices = {one.get("name"): [c.get("value") for c in one] for one in view.iter("Choices")}
    assert choices == {name: ["yes", "no", "unsure"] for name in CONCEPTS}
    image = view.find("Image")
    assert image is not None and (image.get("name"), image.get("value")) == ("image", "$image")
    for task in tasks():
        for region in task["predictions"][0]["result"]:
            assert region["value"]["choices"][0] in choices[region["from_name"]]
            assert region["to_name"] == "image"


def test_what_goes_out_and_is_answered_comes_back(tmp_path: Path) -> None:
    answered = [
        {
            "id": place,
            "data": task["data"],
            "annotations": [
                {"id": place, "completed_by": 1, **task["predictions"][0], "was_cancelled": False}
            ],
        }
        for place, task in enumerate(tasks(), 1)
    ]
    (tmp_path / "export.json").write_text(json.dumps(answered))
    answers = read_export(tmp_path / "export.json").answers
    said = [(answer.uid, answer.concept, answer.answer, answer.inclusion_probability) for answer in answers]
    assert said == [
        ("aa", "unsafe", True, 0.25), ("aa", "watermark", True, 0.25),
        ("bb", "unsafe", False, 0.5), ("bb", "watermark", False, 0.5),
    ]  # fmt: skip
    assert {answer.round for answer in answers} == {2}


def test_the_plain_table_comes_back_as_it_went_out_and_no_cell_is_a_formula(tmp_path: Path) -> None:
    text = plain_table(CHOSEN, CONCEPTS)
    assert "'=HYPERLINK" in text and ",=HYPERLINK" not in text
    path = tmp_path / "ann.csv"
    path.write_text(text)
    assert read_export(path).set_aside == {"empty": 2}
    filled = pd.read_csv(path, dtype=str, keep_default_na=False).assign(unsafe=["no", "yes"])
    filled.to_csv(path, index=False)
    assert [(a.uid, a.answer, a.round) for a in read_export(path).answers] == [
        ("aa", False, 2),
        ("bb", True, 2),
    ]


def test_a_small_picture_is_embedded_as_it_is_and_a_large_one_reduced() -> None:
    small, large = sample("aa"), sample("bb", 800, 400)
    kind, _, content = data_uri(small, 256).partition(",")
    assert kind == "data:image/png;base64" and base64.b64decode(content) == small.image
    kind, _, content = data_uri(large, 256).partition(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (256, 128)


def test_the_folder_has_all_that_people_need(tmp_path: Path) -> None:
    write_tasks(tmp_path, CHOSEN, tasks(), CONCEPTS)
    assert {file.name for file in tmp_path.iterdir()} >= {
        "tasks.json",
        "config.xml",
        "labels.csv",
        "README.md",
    }
    assert json.loads((tmp_path / "tasks.json").read_text())[1]["data"]["uid"] == "bb"
    assert "`unsafe`, `watermark`" in (tmp_path / "README.md").read_text()


def test_no_caption_can_end_the_script_of_the_page_to_label_in() -> None:
    hostile = tasks()
    hostile[0]["data"]["caption"] = "</script><script>alert(1)</script> KEY & TASKS"
    page = label_page(hostile, CONCEPTS)
    assert page.count("</script>") == 1
    assert "KEY \\u0026 TASKS" in page
    assert hostile[0]["data"]["image"] in page


def test_a_page_without_tasks_is_still_a_page() -> None:
    assert "const tasks = []" in label_page([], CONCEPTS)
