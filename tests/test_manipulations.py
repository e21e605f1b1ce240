"""What holds for the manipulations of pictures whatever the networks learned."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from tiny_stack import SAMPLING, tiny_weights
from unclip_pipeline.diffusion.process import Denoised
from unclip_pipeline.draw import draw
from unclip_pipeline.pipelines.release_model.bundle import write_bundle
from unclip_pipeline.unclip import UnClip
from unclip_pipeline.unclip.manipulations import (
    blends,
    decoded,
    inpainted,
    kept_outside,
    latents_of,
    redescribed,
    slerp,
    variations,
)


@pytest.fixture(scope="module")
def unclip() -> UnClip:
    weights = tiny_weights()
    torch.manual_seed(3)
    for part in (
        weights["prior"],
        weights["decoder"],
        weights["upsampler"],
    ):  # what starts at zero must speak
        for name, tensor in part.tensors.items():
            if tensor.is_floating_point() and not tensor.any():
                part.tensors[name] = 0.05 * torch.randn_like(tensor)
    return UnClip.from_weights(**weights, sampling=SAMPLING)


def picture(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    small = torch.randint(0, 256, (1, 3, 4, 4), generator=generator).float()
    large = torch.nn.functional.interpolate(small, (32, 32), mode="bilinear")
    return large[0].round().to(torch.uint8)


def difference(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).max())


def test_slerp_keeps_to_the_arc():
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    half = slerp(a, b, torch.tensor([0.0, 0.5, 1.0]))
    diagonal = 2 * math.sqrt(0.5)  # half of the way from length 1 to length 3
    torch.testing.assert_close(half, torch.tensor([[1.0, 0.0], [diagonal, diagonal], [0.0, 3.0]]))
    torch.testing.assert_close(slerp(a, a, torch.tensor([0.3])), a)


def test_without_noise_a_picture_is_drawn_alike_and_with_it_anew(unclip):
    latents = latents_of(unclip, picture().expand(2, -1, -1, -1))
    still, moved = (decoded(unclip, latents, eta=eta).float() for eta in (0.0, 1.0))
    assert (still[0] - still[1]).abs().max() <= 1 and (moved[0] - moved[1]).abs().max() > 2
    assert [drawn.size for drawn in variations(unclip, picture(), 2)] == [(32, 32)] * 2


def test_ends_of_a_blend_are_the_pictures_themselves(unclip):
    first, second = picture(0), picture(1)
    ends = blends(unclip, first, second, [0.0, 1.0])
    for end, own in zip(ends, (first, second), strict=True):
        (alone,) = variations(unclip, own, 1, eta=0.0)
        assert difference(end, alone) <= 2


def test_no_strength_turns_nothing(unclip):
    none, some = redescribed(unclip, picture(), "a red disc", "a blue disc", [0.0, 0.8])
    still = blends(unclip, picture(), picture(), [0.0])[0]
    assert difference(none, still) <= 2 and difference(some, still) > 2


def test_picture_outside_the_hole_is_untouched(unclip):
    hole = torch.zeros(32, 32, dtype=torch.bool)
    hole[8:24, 8:24] = True
    drawn = np.asarray(inpainted(unclip, picture(), hole, ["a red disc"])[0])
    original = picture().permute(1, 2, 0).numpy()
    assert (drawn[~hole.numpy()] == original[~hole.numpy()]).all()
    assert (drawn[hole.numpy()] != original[hole.numpy()]).any()


def test_every_estimate_holds_the_known_part():
    known, free = torch.full((1, 3, 2, 2), 0.5), torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    denoise = kept_outside(lambda x_t, t: Denoised(-torch.ones_like(x_t)), known, free)
    held = denoise(torch.zeros(2, 3, 2, 2), torch.tensor([5, 5])).x_0
    assert (held[..., 0, 1] == 0.5).all() and (held[..., 0, 0] == -1).all()


def test_negative_caption_leads_away(unclip):
    plain, same, away = (
        unclip.generate(["a red disc"], seed=0, negative=negative)[0] for negative in ("", "", "a blue disc")
    )
    assert difference(plain, same) == 0 and difference(plain, away) > 0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    facts = {"name": "unclip", "dataset_version": "tiny", "code_revision": "abc"}
    return write_bundle(tmp_path_factory.mktemp("model") / "bundle", tiny_weights(), SAMPLING, facts, "card")


def test_drawn_files_say_what_they_are_and_never_overwrite(bundle, tmp_path):
    for _ in range(2):
        asked = ["text", "a red disc", "--count", "2", "--model", str(bundle), "--output", str(tmp_path)]
        done = CliRunner().invoke(draw, asked)
        assert done.exit_code == 0, done.output
    files = sorted(tmp_path.glob("*.png"))
    assert [file.name for file in files] == [f"{number:05d}.png" for number in range(4)]
    facts = Image.open(files[0]).text
    assert facts["Description"] == "a red disc (seed 0)" and facts["dataset_version"] == "tiny"
    assert difference(Image.open(files[0]), Image.open(files[2])) == 0, "the same seed, the same picture"


@pytest.mark.parametrize(
    "command",
    [
        ["vary", "P"],
        ["blend", "P", "P"],
        ["turn", "P", "a red disc", "a blue disc"],
        ["fill", "P", "P", "a disc"],
    ],
    ids=lambda command: command[0],
)
def test_every_manipulation_has_its_command(command, bundle, tmp_path):
    Image.fromarray(picture().permute(1, 2, 0).numpy()).save(tmp_path / "p.png")
    named = [str(tmp_path / "p.png") if word == "P" else word for word in command]
    done = CliRunner().invoke(draw, [*named, "--model", str(bundle), "--output", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert list((tmp_path / "out").glob("*.png"))


@pytest.mark.parametrize(
    ("size", "content", "says"),
    [((32, 16), None, "must be square"), (None, b"no picture", "must be a picture")],
    ids=["oblong", "text"],
)
def test_picture_that_cannot_be_changed_is_named_with_the_way_out(size, content, says, bundle, tmp_path):
    if content is None:
        Image.new("RGB", size).save(tmp_path / "p.png")
    else:
        (tmp_path / "p.png").write_bytes(content)
    asked = ["vary", str(tmp_path / "p.png"), "--model", str(bundle), "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(draw, asked)
    assert done.exit_code == 2 and says in done.output and "p.png" in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", [["--count", "0"], ["--eta", "1.5"]])
def test_numbers_out_of_range_are_refused_before_a_model_is_loaded(option, tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "p.png")
    done = CliRunner().invoke(
        draw, ["vary", str(tmp_path / "p.png"), *option, "--model", str(tmp_path / "none")]
    )
    assert done.exit_code == 2 and option[1] in done.output and "range" in done.output


def test_slerp_takes_rows_that_point_the_same_way_beside_others():
    a, b = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    half = slerp(a, b, torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(half, torch.tensor([[1.5, 0.0], [math.sqrt(0.5), math.sqrt(0.5)]]))


def test_missing_model_is_named_with_the_way_to_it(tmp_path):
    done = CliRunner().invoke(draw, ["text", "a disc", "--model", str(tmp_path), "--output", str(tmp_path)])
    assert done.exit_code == 1 and "release_model" in done.output
