"""Compare two ways to embed with one and the same CLIP: this pipeline's, and clip-retrieval's per batch.

Run by hand: `python benchmarks/embedding.py`. Clip-retrieval's recipe is rebuilt from its documentation, in
one process without its data loader: Pillow decodes, open_clip's transform resizes, crops, and normalises to
float32; captions run on the whole context; vectors are normalised and stored as float16. The model has
random weights, which costs what trained ones cost. CPU time is that of all threads. Pictures are synthetic
photos of four sizes, and those of `--images` as they are; captions are those of the embedded world.
"""

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from unclip_pipeline.clip.captions import as_half
from unclip_pipeline.clip.encoder import Encoder, load_encoder, model_input
from unclip_pipeline.clip.model import build_model
from unclip_pipeline.clip.open_clip_guard import open_clip
from unclip_pipeline.clip.pictures import make_preparation
from unclip_pipeline.clip.prefetch import map_ahead
from unclip_pipeline.provenance import hardware
from unclip_pipeline.seeds import seeded_numpy
from unclip_pipeline.weights import Weights
from unclip_pipeline.world.plan import plan_world
from unclip_pipeline.world.scenes import WorldConfig

TEXTS_AT_ONCE = 256
IMAGES_AT_ONCE = 32
SIZES = ((512, 512), (640, 480), (256, 256), (224, 224))
Result = TypeVar("Result")
COMPARED = 8  # pictures whose vectors are compared
ROUNDS = 2


class Cost(NamedTuple):
    """Seconds of the processor and of the clock."""

    cpu_s: float
    wall_s: float


def cost(work: Callable[[], Result]) -> tuple[Cost, Result]:
    """Take the best of a few rounds, and what the last one gave."""
    rounds = []
    for _ in range(ROUNDS):
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        result = work()
        rounds.append((time.process_time() - cpu_s, time.perf_counter() - wall_s))
    return Cost(*(min(column) for column in zip(*rounds, strict=True))), result


def random_clip(name: str) -> Weights:
    """Give open_clip's model of this name with random weights."""
    preprocessing = {
        "size": open_clip.get_model_config(name)["vision_cfg"]["image_size"],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
        "fill_color": 0,
        "mean": list(open_clip.OPENAI_DATASET_MEAN),
        "std": list(open_clip.OPENAI_DATASET_STD),
    }
    model = {k: v for k, v in open_clip.get_model_config(name).items() if k != "custom_text"}
    architecture = {"name": name, "model": model, "preprocessing": preprocessing}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tensors = dict(build_model(architecture).state_dict())
    return Weights(tensors, {"kind": "clip", "architecture": architecture})


def photo(width: int, height: int, seed: int) -> bytes:
    """Draw a JPEG with detail at every scale, about as large as a photo of this size."""
    rng, picture = seeded_numpy(seed, "photo", width, height), np.zeros((height, width, 3))
    for cells in (4, 16, 64, 256):
        noise = rng.normal(0, 60 / cells**0.5, (cells, cells, 3)).astype(np.float32)
        layers = [Image.fromarray(noise[..., band]).resize((width, height), 3) for band in range(3)]
        picture += np.stack([np.asarray(layer) for layer in layers], -1)
    stream = io.BytesIO()
    Image.fromarray(np.clip(picture + 128, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def their_texts(model: nn.Module, tokenize: Callable[[list[str]], Tensor], captions: list[str]) -> Tensor:
    """Run every caption on the whole context."""
    parts = [captions[start : start + TEXTS_AT_ONCE] for start in range(0, len(captions), TEXTS_AT_ONCE)]
    with torch.no_grad():
        found = [F.normalize(model.encode_text(tokenize(part)), dim=-1) for part in parts]
    for part in found:
        part.numpy().astype(np.float16)
    return torch.cat(found)


def our_texts(encoder: Encoder, captions: list[str]) -> Tensor:
    """Run each distinct caption on as many tokens as the longest of its batch has."""
    found = encoder.texts(captions)
    as_half(found)
    return found


def compare_texts(model: nn.Module, encoder: Encoder, captions: list[str]) -> list[dict[str, object]]:
    """Time both ways on distinct captions, and on captions as they come."""
    tokenize, rows = open_clip.SimpleTokenizer(), []
    for what, texts in (
        ("distinct captions", list(dict.fromkeys(captions))),
        ("a quarter repeated", captions),
    ):
        theirs, truth = cost(lambda texts=texts: their_texts(model, tokenize, texts))
        ours, found = cost(lambda texts=texts: our_texts(encoder, texts))
        apart = (F.normalize(found, dim=-1) - truth).abs().max()
        rows.append(_row(f"text: {what}", len(texts), theirs, ours, float(apart)))
    return rows


def compare_pictures(
    model: nn.Module, encoder: Encoder, pictures: list[bytes], what: str
) -> list[dict[str, object]]:
    """Time both ways from bytes to what the model takes, and compare the vectors."""
    seen = encoder.architecture["preprocessing"]
    transform = open_clip.image_transform(seen["size"], False, mean=seen["mean"], std=seen["std"])
    parts = [pictures[start : start + IMAGES_AT_ONCE] for start in range(0, len(pictures), IMAGES_AT_ONCE)]

    def theirs(part: list[bytes]) -> Tensor:
        return torch.stack([transform(Image.open(io.BytesIO(data))) for data in part])

    rows, (base, _) = [], cost(lambda: [theirs(part) for part in parts])
    with torch.no_grad():
        truth = F.normalize(model.encode_image(theirs(pictures[:COMPARED])), dim=-1)
    for mode in ("exact", "fast"):
        prepare = make_preparation(seen, fast=mode == "fast")

        def ours(part: list[bytes], prepare: Callable = prepare) -> Tensor:
            return torch.from_numpy(np.stack([prepare(data) for data in part])).permute(0, 3, 1, 2)

        vectors = F.normalize(encoder.images(ours(pictures[:COMPARED])), dim=-1)
        apart, cosine = float((vectors - truth).abs().max()), float((vectors * truth).sum(1).min())
        found, _ = cost(lambda ours=ours: [model_input(ours(part), encoder.architecture) for part in parts])
        rows.append(_row(f"{what}, {mode}, 1 thread", len(pictures), base, found, apart, cosine))
        ahead, _ = cost(
            lambda ours=ours: [
                model_input(pixels, encoder.architecture)
                for pixels in map_ahead(ours, parts, threads=2, ahead=4)
            ]
        )
        rows.append(_row(f"{what}, {mode}, 2 threads", len(pictures), base, ahead, apart, cosine))
    return rows


def _row(what: str, n: int, theirs: Cost, ours: Cost, apart: float, cosine: float = 1.0) -> dict[str, object]:
    return {
        "what": what,
        "n": n,
        "theirs_ms": 1e3 * theirs.cpu_s / n,
        "ours_ms": 1e3 * ours.cpu_s / n,
        "cpu_ratio": theirs.cpu_s / ours.cpu_s,
        "wall_ratio": theirs.wall_s / ours.wall_s,
        "vectors_apart": f"{apart:.1e}",
        "least_cosine": f"{cosine:.5f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="ViT-B-32", help="a model of open_clip; its weights are random")
    parser.add_argument("--captions", type=int, default=64, help="a quarter of them twice")
    parser.add_argument("--pictures", type=int, default=32, help="of each size")
    parser.add_argument("--images", type=Path, help="a folder of further pictures")
    arguments = parser.parse_args()
    weights = random_clip(arguments.model)
    encoder, model = load_encoder(weights), build_model(weights.config["architecture"]).eval()
    model.load_state_dict(weights.tensors)
    distinct = list(dict.fromkeys(entry.caption.text for entry in plan_world(WorldConfig(), 0)))
    distinct = distinct[: arguments.captions * 3 // 4]
    rows = compare_texts(model, encoder, distinct + distinct[: arguments.captions // 4])
    torch.set_num_threads(1)  # pictures: a ratio of 1 thread against 1, then against 2
    for width, height in SIZES:
        pictures = [photo(width, height, seed) for seed in range(arguments.pictures)]
        rows += compare_pictures(model, encoder, pictures, f"{width} x {height}")
    if arguments.images:
        files = sorted(path for path in arguments.images.rglob("*") if path.suffix in (".jpg", ".jpeg"))
        pictures = [path.read_bytes() for path in files[: arguments.pictures]]
        rows += compare_pictures(model, encoder, pictures, arguments.images.name)
    print(f"{arguments.model}, random weights; torch {torch.__version__}; {hardware()}")
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    main()
