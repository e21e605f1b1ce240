import numpy as np
import pytest

from unclip_pipeline.bias.axes import check_axes, label_images
from unclip_pipeline.corpus.vectors import unit

AXES = {"group": {"amber": ["amber one", "amber two"], "teal": ["teal"], "unknown": ["circle", "square"]}}
PLACES = {"amber one": 0, "amber two": 0, "teal": 1, "circle": 2, "square": 3}
BASIS = np.eye(4, dtype=np.float32)


def encode(prompts) -> np.ndarray:
    return BASIS[[PLACES[prompt] for prompt in prompts]]


def labels(images: np.ndarray, min_probability: float = 0.5) -> list[str]:
    found = label_images(unit(images), AXES, encode, scale=20.0, min_probability=min_probability)
    return found["group"].tolist()


def test_pictures_get_the_group_they_show():
    assert labels(BASIS[:2]) == ["amber", "teal"]


def test_a_picture_of_something_else_is_unknown():
    assert labels(BASIS[2:]) == ["unknown", "unknown"]


def test_a_picture_between_two_groups_is_unknown_if_more_is_asked_than_half():
    between = BASIS[:1] + BASIS[1:2]
    assert labels(between, min_probability=0.6) == ["unknown"]


def test_a_long_list_of_prompts_is_no_advantage():
    """Amber has two prompts that say the same; a picture between the two groups leans to neither."""
    tilted = BASIS[:1] + 1.02 * BASIS[1:2]
    assert labels(tilted) == ["teal"]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"amber": ["a"], "teal": ["b"]}, "audit_axes.group needs prompts for `unknown`"),
        ({"amber": ["a"], "unknown": ["b"]}, "audit_axes.group needs at least two groups"),
        ({"amber": "a person", "teal": ["b"], "unknown": ["c"]}, "audit_axes.group.amber"),
        ({"amber": [], "teal": ["b"], "unknown": ["c"]}, "audit_axes.group.amber"),
    ],
)
def test_a_wrong_axis_is_refused_where_it_is_wrong(groups, message):
    with pytest.raises(ValueError, match=message):
        check_axes({"group": groups})
