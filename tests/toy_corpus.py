"""A scraped corpus of coloured discs and squares, small enough to learn in seconds."""

from pathlib import Path

import numpy as np
import pandas as pd

from unclip_pipeline.corpus.files import SUCCESS
from unclip_pipeline.corpus.images import encode_png
from unclip_pipeline.corpus.shards import Sample, write_shard
from unclip_pipeline.corpus.uids import pair_uid

COLOURS = {"red": (220, 40, 40), "green": (40, 170, 60), "blue": (40, 60, 220), "white": (240, 240, 240)}
PLACES = {"left": 8, "right": 24}
SHADES = {"dark": 20, "light": 150}


def toy_corpus(folder: Path, n: int, *, heldout: int = 0, shards: int = 2) -> tuple[Path, pd.DataFrame]:
    """Write raw shards and their scrape ledger; each caption names colour, place and ground."""
    random = np.random.default_rng(0)
    samples, rows = [], []
    for number in range(n + heldout):
        colour, place, shade = (str(random.choice(list(names))) for names in (COLOURS, PLACES, SHADES))
        caption = f"a {colour} disc on the {place} of {shade} ground, number {number}"
        uid = pair_uid(f"http://toy.example/{number}.png", caption)
        picture = encode_png(_picture(COLOURS[colour], PLACES[place], SHADES[shade], random))
        samples.append(Sample(uid, picture, "png", caption, {}))
        split = "heldout" if number >= n else "train"
        rows.append({"uid": uid, "split": split, "fate": "kept", "shard": f"{number % shards:05d}"})
    folder.mkdir(parents=True)
    for shard in range(shards):
        write_shard(folder / f"{shard:05d}.tar", samples[shard::shards])
    (folder / SUCCESS).touch()
    return folder, pd.DataFrame(rows)


def _picture(
    colour: tuple[int, int, int], place: int, ground: int, random: np.random.Generator
) -> np.ndarray:
    y, x = np.mgrid[0:32, 0:32]
    inside = (x - place - random.integers(-2, 3)) ** 2 + (y - 16 - random.integers(-4, 5)) ** 2 < 36
    scene = np.where(inside[..., None], colour, (ground, ground, ground + 20))
    return np.clip(scene + random.normal(0, 6, scene.shape), 0, 255).astype(np.uint8)
