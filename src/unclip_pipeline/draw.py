"""`kedro draw`: pictures from a released model, and what can be done with pictures."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from PIL.Image import Image
    from torch import Tensor

    from unclip_pipeline.unclip import UnClip

BUNDLE = Path("data/06_models/bundle")
OUTPUT = Path("data/07_model_output/drawn")

_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_positive = click.IntRange(min=1)
_share = click.FloatRange(0, 1)
_seed = click.option("--seed", default=0, show_default=True, help="The same seed gives the same pictures.")
_model = click.option(
    "--model", default=BUNDLE, show_default=True, type=click.Path(path_type=Path), help="A released bundle."
)
_output = click.option(
    "--output", default=OUTPUT, show_default=True, type=click.Path(path_type=Path), help="Folder of the PNGs."
)


@click.group()
def draw() -> None:
    """Draw with a released model; every PNG says what it was made after, and by which model."""


@draw.command()
@click.argument("captions", nargs=-1, required=True)
@click.option("--count", default=1, show_default=True, type=_positive, help="Pictures a caption.")
@click.option("--negative", default="", help="A caption to stay away from.")
@_seed
@_model
@_output
def text(captions: tuple[str, ...], count: int, negative: str, seed: int, model: Path, output: Path) -> None:
    """Draw what captions say."""
    each = [caption for caption in captions for _ in range(count)]
    pictures = _load(model).generate(each, seed=seed, negative=negative)
    _save(pictures, [f"{caption} (seed {seed})" for caption in each], model, output)


@draw.command()
@click.argument("picture", type=_file)
@click.option("--count", default=4, show_default=True, type=_positive)
@click.option("--eta", default=1.0, show_default=True, type=_share, help="0 changes nothing, 1 the most.")
@_seed
@_model
@_output
def vary(picture: Path, count: int, eta: float, seed: int, model: Path, output: Path) -> None:
    """Draw a picture anew: what CLIP sees in it stays."""
    from unclip_pipeline.unclip.manipulations import variations

    drawn = variations(_load(model), _pixels(picture), count, eta=eta, seed=seed)
    _save(drawn, [f"variation of {picture.name} (seed {seed})"] * count, model, output)


@draw.command()
@click.argument("first", type=_file)
@click.argument("second", type=_file)
@click.option("--count", default=5, show_default=True, type=_positive, help="Pictures, both ends among them.")
@_seed
@_model
@_output
def blend(first: Path, second: Path, count: int, seed: int, model: Path, output: Path) -> None:
    """Draw what lies between two pictures."""
    from unclip_pipeline.unclip.manipulations import blends

    shares = _evenly(1.0, count)
    drawn = blends(_load(model), _pixels(first), _pixels(second), shares, seed=seed)
    _save(
        drawn,
        [f"{share:.2f} of the way from {first.name} to {second.name}" for share in shares],
        model,
        output,
    )


@draw.command()
@click.argument("picture", type=_file)
@click.argument("before")
@click.argument("after")
@click.option("--strength", default=0.4, show_default=True, type=_share, help="Share of the way.")
@click.option("--count", default=4, show_default=True, type=_positive, help="Pictures on the way there.")
@_seed
@_model
@_output
def turn(
    picture: Path, before: str, after: str, strength: float, count: int, seed: int, model: Path, output: Path
) -> None:
    """Change a picture as a caption changes from BEFORE to AFTER."""
    from unclip_pipeline.unclip.manipulations import redescribed

    strengths = _evenly(strength, count)
    drawn = redescribed(_load(model), _pixels(picture), before, after, strengths, seed=seed)
    _save(
        drawn, [f"{picture.name}, {before!r} to {after!r} by {one:.2f}" for one in strengths], model, output
    )


@draw.command()
@click.argument("picture", type=_file)
@click.argument("mask", type=_file)
@click.argument("captions", nargs=-1, required=True)
@_seed
@_model
@_output
def fill(picture: Path, mask: Path, captions: tuple[str, ...], seed: int, model: Path, output: Path) -> None:
    """Draw what captions say into the white part of MASK."""
    from unclip_pipeline.unclip.manipulations import inpainted

    hole, whole = _pixels(mask).float().mean(0) > 127, _pixels(picture)
    if hole.shape != whole.shape[1:]:
        raise click.BadParameter(
            f"the mask must be as large as the picture, got {tuple(hole.shape)} for {tuple(whole.shape[1:])}"
        )
    drawn = inpainted(_load(model), whole, hole, captions, seed=seed)
    _save(drawn, [f"{caption} in {picture.name} (seed {seed})" for caption in captions], model, output)


def _load(model: Path) -> "UnClip":
    from unclip_pipeline.unclip import UnClip

    try:
        return UnClip.load(model)
    except FileNotFoundError as fault:
        raise click.ClickException(str(fault)) from fault


def _pixels(path: Path) -> "UInt8[Tensor, '3 h w']":
    import torch

    from unclip_pipeline.corpus.images import ImageDecodeError, decode_rgb

    try:
        pixels = torch.from_numpy(decode_rgb(path.read_bytes()).copy()).permute(2, 0, 1)
    except ImageDecodeError as fault:
        raise click.BadParameter(f"{path} must be a picture: {fault}") from fault
    _, height, width = pixels.shape
    if height != width:
        raise click.BadParameter(f"{path} must be square, as what is drawn is, got {width}x{height}; crop it")
    return pixels


def _evenly(most: float, count: int) -> list[float]:
    return [most * n / max(1, count - 1) for n in range(count)]


def _save(pictures: Iterable["Image"], descriptions: Iterable[str], model: Path, output: Path) -> None:
    """Write PNGs under numbers that are free, and name them."""
    from unclip_pipeline.corpus.files import atomic_path
    from unclip_pipeline.unclip.labelled import labelled_png

    facts: dict[str, Any] = json.loads((model / "unclip.json").read_text())
    output.mkdir(parents=True, exist_ok=True)
    taken = [int(path.stem) for path in output.glob("*.png") if path.stem.isdigit()]
    for number, (picture, description) in enumerate(
        zip(pictures, descriptions, strict=True), start=max(taken, default=-1) + 1
    ):
        path = output / f"{number:05d}.png"
        with atomic_path(path) as temporary:
            temporary.write_bytes(labelled_png(picture, description, facts))
        click.echo(f"{path}  {description}")
