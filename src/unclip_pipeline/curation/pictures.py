"""What the pixels of an image say, without any model: contrast, perceptual hash, fingerprint."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped, UInt8, UInt64
from PIL import Image
from scipy.fft import dctn

CELLS = 16  # per side of the colour thumbnail
VIEW_PX = 64  # side of the grey view that fine grain is compared on


class Fingerprints(NamedTuple):
    """What two images are compared by, one row each; images are squeezed to a square, not cropped."""

    uid: Shaped[np.ndarray, " n"]
    hash: UInt64[np.ndarray, " n"]
    cells: UInt8[np.ndarray, "n 16 16 3"]
    view: UInt8[np.ndarray, "n 64 64"]


def contrast(image: UInt8[np.ndarray, "h w 3"]) -> float:
    """Standard deviation of a 16x16 grey thumbnail, of 255; noise averages out, content does not."""
    return float(np.asarray(_grey(image, CELLS), np.float64).std())


def fingerprint(image: UInt8[np.ndarray, "h w 3"]) -> tuple[np.uint64, np.ndarray, np.ndarray]:
    """Reduce an image to hash, cells and view."""
    cells = Image.fromarray(image).resize((CELLS, CELLS), Image.Resampling.BOX)
    return perceptual_hash(image), np.asarray(cells), np.asarray(_grey(image, VIEW_PX))


def perceptual_hash(image: UInt8[np.ndarray, "h w 3"]) -> np.uint64:
    """Hash an image to 64 bits: which of its 8x8 lowest cosine coefficients exceed their median (pHash)."""
    grey = np.asarray(_grey(image, 32), np.float64)
    coefficients = dctn(grey, norm="ortho")[:8, :8].ravel()
    bits = coefficients > np.median(coefficients[1:])
    return np.packbits(bits).view(">u8").astype(np.uint64)[0]


def stack(rows: list[tuple[str, tuple[np.uint64, np.ndarray, np.ndarray]]]) -> Fingerprints:
    """Put fingerprints by uid into arrays, sorted by uid."""
    rows = sorted(rows, key=lambda row: row[0])
    return Fingerprints(
        np.array([uid for uid, _ in rows], dtype=object),
        np.array([prints[0] for _, prints in rows], np.uint64),
        np.array([prints[1] for _, prints in rows], np.uint8).reshape(-1, CELLS, CELLS, 3),
        np.array([prints[2] for _, prints in rows], np.uint8).reshape(-1, VIEW_PX, VIEW_PX),
    )


def hamming(
    a: np.uint64 | UInt64[np.ndarray, "..."], b: np.uint64 | UInt64[np.ndarray, "..."]
) -> np.uint8 | UInt8[np.ndarray, "..."]:
    """Count the bits in which hashes differ; shapes broadcast."""
    return np.bitwise_count(np.bitwise_xor(a, b))


def mean_difference(
    a: UInt8[np.ndarray, "n 16 16 3"], b: UInt8[np.ndarray, "n 16 16 3"]
) -> Float[np.ndarray, "n 16 16"]:
    """Mean absolute difference of the colours of each cell, of 255."""
    return np.abs(a.astype(np.int16) - b.astype(np.int16)).mean(axis=3)


def _grey(image: UInt8[np.ndarray, "h w 3"], side_px: int) -> Image.Image:
    return Image.fromarray(image).convert("L").resize((side_px, side_px), Image.Resampling.BICUBIC)
