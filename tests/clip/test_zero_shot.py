"""Zero-shot accuracy without labels: what captions name, sentences that differ in the class, and who is counted."""

import numpy as np
import pytest
import torch

from unclip_pipeline.clip.encoder import Encoder
from unclip_pipeline.clip.zero_shot import NOT_NAMED, ZeroShotConfig, answer, questions

COLOURS = {"red": ["red", "dark red"], "blue": ["blue", "navy"], "grey": ["grey"]}
CAPTIONS = [
    "A Red star", "a navy ring", "a reddish star", "a red star on blue ground", "a dark red ring", "a star",
    "a grey star", "(blue)", "an infrared image",
]  # fmt: skip


def label_set(given):
    return ZeroShotConfig(sets={"colour": given}).label_sets[0]


class Reader(Encoder):
    """A sentence's vector points where `words` says; texts it was asked for are kept."""

    def __init__(self, words: dict[str, int]):
        self.words, self.asked = words, []

    def texts(self, captions):
        self.asked += captions
        places = [sum(place for word, place in self.words.items() if word in text) for text in captions]
        return torch.eye(3)[places]


def test_the_label_is_the_one_class_that_a_caption_names_in_whole_words():
    (question,) = questions(ZeroShotConfig(sets={"colour": COLOURS}), CAPTIONS)
    assert question.labels.tolist() == [0, 1, NOT_NAMED, NOT_NAMED, 0, NOT_NAMED, 2, 1, NOT_NAMED]


def test_a_longer_phrase_is_not_the_shorter_one_in_it():
    tones = label_set({"light": ["light skin"], "medium_light": ["medium-light skin"]})
    assert tones.class_of("woman: medium-light skin") == "medium_light"
    assert tones.class_of("woman: light skin") == "light"
    assert label_set({"red": ["red"], "claret": ["red wine"]}).class_of("of red wine") == "claret"


def test_a_list_of_words_makes_each_a_class():
    assert label_set(["red", "blue"]).phrases == {"red": ("red",), "blue": ("blue",)}


def test_sentences_of_classes_differ_in_the_class_alone_and_keep_the_kind_of_phrase():
    hair = label_set(
        {"short": ["with short hair", "short-haired"], "long": ["with long hair", "long-haired"]}
    )
    captions = ["a chef with short hair", "a bald man", "a Long-haired chef"]
    assert hair.sentences(captions, ()) == {
        "short": ["a chef with short hair", "a short-haired chef"],
        "long": ["a chef with long hair", "a long-haired chef"],
    }
    assert label_set(COLOURS).rewritten("a navy ring", "grey") == "a grey ring"


def test_templates_take_the_place_of_captions():
    sentences = label_set(COLOURS).sentences(CAPTIONS, ["a {} thing", "{}!"])
    assert sentences["grey"] == ["a grey thing", "grey!"]
    assert sentences["blue"] == ["a blue thing", "a navy thing", "blue!", "navy!"]


def test_accuracy_counts_those_whose_captions_name_one_class():
    captions = ["a red disc", "a red ring", "a red star", "a blue disc", "a disc", "a red and blue disc"]
    shown = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2, 2]]  # the third shows what its caption denies
    asked = questions(ZeroShotConfig(sets={"colour": ["red", "blue"]}), captions)
    encoder = Reader({"blue": 1})
    found = answer(encoder, shown, asked)
    assert found["zero_shot_colour"] == 0.75 and found["zero_shot_colour_n"] == 4
    assert found["zero_shot_colour_chance"] == 0.75  # three of four captions say red
    assert found["zero_shot_colour_low"] < 0.75 < found["zero_shot_colour_high"]
    assert found["zero_shot_colour_left_out"] == 2 and found["zero_shot_colour_unnamed"] == 0
    assert "a red and blue disc" not in encoder.asked and "a disc" not in encoder.asked


def test_an_ensemble_outvotes_a_sentence_that_misleads():
    captions = ["a red disc", "a red ring", "a red star", "a blue disc"]
    shown = np.eye(3, dtype=np.float32)[[0, 0, 0, 1]]
    asked = questions(ZeroShotConfig(sets={"colour": ["red", "blue"]}), captions)
    found = answer(
        Reader({"blue": 1, "star": 1}), shown, asked
    )  # "a red star" points at blue, "a blue star" nowhere
    assert found["zero_shot_colour"] == 1.0


def test_classes_that_no_caption_names_are_no_choice(caplog):
    captions, shown = ["a red disc", "a blue disc"], np.eye(3, dtype=np.float32)[[0, 1]]
    asked = questions(ZeroShotConfig(sets={"colour": ["red", "blue", "green"]}), captions)
    found = answer(Reader({"blue": 1}), shown, asked)  # "green" would be taken for red
    assert found["zero_shot_colour"] == 1.0 and found["zero_shot_colour_unnamed"] == 1
    assert "names green alone" in caplog.text


def test_fewer_than_two_named_classes_are_not_measured(caplog):
    asked = questions(ZeroShotConfig(sets={"colour": ["red", "blue"]}), ["a red disc", "a disc"])
    found = answer(Reader({}), np.eye(3, dtype=np.float32)[[0, 1]], asked)
    assert found == {"zero_shot_colour_left_out": 1, "zero_shot_colour_unnamed": 1, "zero_shot_colour_n": 0}
    assert "not measured" in caplog.text


@pytest.mark.parametrize("sets", [None, {}, {"colour": None}])
def test_without_sets_nothing_is_asked(sets):
    assert questions(ZeroShotConfig(sets=sets), CAPTIONS) == []
    assert answer(Reader({}), np.eye(3, dtype=np.float32), []) == {}


def test_null_leaves_out_a_class_of_another_environment():
    assert list(label_set({"red": ["red"], "blue": None, "grey": ["grey"]}).phrases) == ["red", "grey"]


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ({"colour": ["red", "blue", "red"]}, "colour has 'red' twice"),
        ({"colour": {"red": ["red", "scarlet"], "pink": ["Scarlet"]}}, "'scarlet' names 'red' and 'pink'"),
        ({"colour": ["red"]}, "two classes or more"),
        ({"colour": {"red": ["red"], "blue": None}}, "two classes or more"),
        ({"colour": "red"}, "zero_shot.sets.colour is a list"),
        ({"colour": {"red": "red", "blue": ["blue"]}}, "zero_shot.sets.colour.red needs a list"),
        ({"answer": ["yes", False]}, "in quotes"),
        ({"Dark colour": ["red", "blue"]}, "becomes a metric"),
        (["colour"], "zero_shot.sets maps"),
    ],
)
def test_a_broken_set_names_its_place(sets, said):
    with pytest.raises(ValueError, match=said):
        ZeroShotConfig(sets=sets)


@pytest.mark.parametrize("template", ["a photo", "{} and {}"])
def test_a_template_names_the_class_once(template):
    with pytest.raises(ValueError, match="zero_shot.templates"):
        ZeroShotConfig(templates=[template])
