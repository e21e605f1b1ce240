"""Plant copies of real pictures and count which are found, by hashing alone and with CLIP embeddings.

Run by hand: `python benchmarks/real_duplicates.py FOLDER --clip data/06_models/clip`. FOLDER holds one or more
folders with a `pairs.parquet` (columns `url_path`, relative to FOLDER, and `caption`). Of some pictures copies
are made in every way; pictures that are the same pixel by pixel count as one. Recall: copies linked to what
they were made from. Precision: of the links that copies of this kind have, those within their own group.
`originals kept` is the share of the pictures nobody altered that survive: near-identical pictures of different
content (skin tones, flags) must.
"""

import argparse
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageDraw, ImageFont

from unclip_pipeline.clip.encoder import Encoder, load_encoder
from unclip_pipeline.corpus.images import decode_rgb, to_square
from unclip_pipeline.corpus.intervals import wilson
from unclip_pipeline.corpus.vectors import unit
from unclip_pipeline.curation.cells import cell_difference
from unclip_pipeline.curation.cover import greedy_cover
from unclip_pipeline.curation.duplicate_config import DuplicateConfig
from unclip_pipeline.curation.hash_bands import hash_pairs
from unclip_pipeline.curation.links import judge_pairs, near_pairs
from unclip_pipeline.curation.pairs import Pairs
from unclip_pipeline.curation.pictures import Fingerprints, fingerprint, stack
from unclip_pipeline.progress import progress
from unclip_pipeline.provenance import hardware
from unclip_pipeline.seeds import seeded_numpy
from unclip_pipeline.weights import load_weights

REPORT_ONLY = ("mirrored",)


class Planted(NamedTuple):
    """Pictures, originals first; which group each belongs to and how it was made ("" for originals)."""

    pictures: list[np.ndarray]
    group: np.ndarray
    how: np.ndarray


def recompressed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Save as JPEG of quality 50."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=50)
    return Image.fromarray(decode_rgb(stream.getvalue()))


def resized(share: float) -> Callable[[Image.Image, np.random.Generator], Image.Image]:
    """Make smaller."""
    return lambda image, rng: image.resize(
        (round(share * image.width), round(share * image.height)), Image.Resampling.LANCZOS
    )


def cropped(share: float) -> Callable[[Image.Image, np.random.Generator], Image.Image]:
    """Cut this share off the width and off the height, at one side or both."""

    def crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, height = round((1 - share) * image.width), round((1 - share) * image.height)
        left, top = rng.integers(image.width - width + 1), rng.integers(image.height - height + 1)
        return image.crop((left, top, left + width, top + height))

    return crop


def stamped(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Lay small lettering over the lower right corner."""
    layer = Image.new("RGBA", image.size)
    font = ImageFont.load_default(max(6, round(0.12 * image.height)))
    place = (image.width - 2, image.height - 2)
    ImageDraw.Draw(layer).text(place, "photo", font=font, anchor="rd", fill=(128, 128, 128, 170))
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def mirrored(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Swap left and right."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


TRANSFORMS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "recompressed q50": recompressed,
    "resized 0.8": resized(0.8),
    "resized 0.5": resized(0.5),
    "cropped 5%": cropped(0.05),
    "cropped 10%": cropped(0.10),
    "stamped": stamped,
    "mirrored": mirrored,
}


def plant(folder: Path, name: str, copied: int, seed: int) -> Planted:
    """Read a set of pictures and copy some of them in every way."""
    paths = pd.read_parquet(folder / name / "pairs.parquet")["url_path"]
    originals = [
        decode_rgb((folder / path.lstrip("/")).read_bytes())
        for path in progress(paths, label="read pictures")
    ]
    group = pd.factorize(pd.Series([picture.tobytes() for picture in originals]))[0]
    rng = seeded_numpy(seed, "plant", name)
    chosen = rng.permutation(len(originals))[:copied]
    pictures, groups, how = list(originals), list(group), [""] * len(originals)
    for label, transform in TRANSFORMS.items():
        for place in chosen:
            pictures.append(np.asarray(transform(Image.fromarray(originals[place]), rng)))
            groups.append(group[place])
            how.append(label)
    return Planted(pictures, np.array(groups), np.array(how))


def embed(encoder: Encoder, pictures: list[np.ndarray]) -> np.ndarray:
    """Embed pictures as the pipeline does, stored in half precision."""
    side = encoder.image_side_px
    found = []
    for start in progress(range(0, len(pictures), 128), label="embed", unit="batch"):
        squares = np.stack([to_square(picture, side) for picture in pictures[start : start + 128]])
        found.append(encoder.images(torch.from_numpy(squares.transpose(0, 3, 1, 2).copy())).numpy())
    return unit(np.concatenate(found).astype(np.float16))


def link(prints: Fingerprints, vectors: np.ndarray, config: DuplicateConfig) -> Iterator[tuple[str, Pairs]]:
    """Link pictures by every method."""
    hashed = hash_pairs(prints.hash, config.max_hash_bits)
    yield "hash alone", hashed
    yield "hash, cells checked", hashed.where(cell_difference(prints, hashed).largest <= 12)
    near = near_pairs(vectors, config)
    yield f"cosine alone, {config.min_cosine}", near
    yield "cosine alone, 0.96", near_pairs(vectors, DuplicateConfig(min_cosine=0.96))
    judged = judge_pairs(near, vectors, prints, config)
    yield "the pipeline", judged.pairs.where(judged.same)


def score(planted: Planted, pairs: Pairs) -> Iterator[tuple[str, float, int, float, int]]:
    """Give for each transform recall with its count, and precision with its count."""
    originals = planted.how == ""
    same = planted.group[pairs.first] == planted.group[pairs.second]
    to_original = same & originals[pairs.first]  # originals come first
    for label in TRANSFORMS:
        copies = np.flatnonzero(planted.how == label)
        found = np.isin(copies, pairs.second[to_original]).mean()
        mine = (planted.how[pairs.first] == label) | (planted.how[pairs.second] == label)
        yield label, float(found), len(copies), float(same[mine].mean()) if mine.any() else 1.0, mine.sum()


def originals_kept(planted: Planted, pairs: Pairs) -> tuple[int, int]:
    """Count the distinct originals that survive among themselves, and how many there are."""
    first = np.unique(planted.group, return_index=True)[1]
    inside = np.isin(pairs.first, first) & np.isin(pairs.second, first)
    standing = greedy_cover(len(planted.how), pairs.where(inside), np.ones(int(inside.sum())))
    return int((standing[first] == first).sum()), len(first)


def main() -> None:
    """Plant, link, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clip", type=Path, required=True, help="folder of the trained CLIP's weights")
    parser.add_argument("--copied", type=int, default=200, help="pictures of each set that are copied")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(hardware())
    pd.set_option("display.width", 200, "display.max_columns", 10)
    encoder = load_encoder(load_weights(arguments.clip))
    for name in sorted(path.parent.name for path in arguments.folder.glob("*/pairs.parquet")):
        planted = plant(arguments.folder, name, arguments.copied, arguments.seed)
        prints = stack(
            [(f"{place:08}", fingerprint(picture)) for place, picture in enumerate(planted.pictures)]
        )
        rows = []
        for method, pairs in link(prints, embed(encoder, planted.pictures), DuplicateConfig()):
            kept, distinct = originals_kept(planted, pairs)
            low, high = wilson(kept, distinct)
            print(
                f"{name}, {method}: originals kept {kept / distinct:.4f} [{low:.4f}, {high:.4f}] of {distinct}"
            )
            rows += [(method, *scores) for scores in score(planted, pairs)]
        table = pd.DataFrame(rows, columns=["method", "copy", "recall", "copies", "precision", "links"])
        counted = table[~table["copy"].isin(REPORT_ONLY)]
        print(table.pivot(index="copy", columns="method", values="recall").loc[list(TRANSFORMS)].round(3))
        print(table.pivot(index="copy", columns="method", values="precision").loc[list(TRANSFORMS)].round(3))
        print(counted.groupby("method", sort=False)["recall"].mean().round(4).to_string())


if __name__ == "__main__":
    main()
