"""What the filters cost: measuring pairs, part by part, and the exact share of a column against a sort.

    python benchmarks/filter.py --pairs 2000 --side-px 256 --scores 4000000

Ratios of one run on one process. The share is cut in pieces of a million scores, as if each were a file.
"""

import argparse
import resource
import time
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from unclip_pipeline.corpus.images import decode_rgb, encode_png
from unclip_pipeline.curation.captions import measure_caption
from unclip_pipeline.curation.languages import guess_language
from unclip_pipeline.curation.looks import colour, text_density
from unclip_pipeline.curation.pictures import contrast
from unclip_pipeline.curation.quantiles import lowest_share
from unclip_pipeline.provenance import hardware

PIECE = 1_000_000


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--side-px", type=int, default=256)
    parser.add_argument("--scores", type=int, default=4_000_000)
    options = parser.parse_args()
    print(hardware())
    measures(options.pairs, options.side_px)
    shares(options.scores)


def measures(pairs: int, side_px: int) -> None:
    """Time every part of measuring a pair."""
    images = [picture(number, side_px) for number in range(min(pairs, 50))]
    data = [encode_png(image) for image in images]
    captions = [
        f"a photo of {number} dogs that run along the beach in the evening" for number in range(pairs)
    ]
    guess_language("the model is loaded once")
    parts: dict[str, tuple[Callable[[int], object], int]] = {
        "decode": (lambda n: decode_rgb(data[n % len(data)]), pairs),
        "contrast": (lambda n: contrast(images[n % len(data)]), pairs),
        "colour": (lambda n: colour(images[n % len(data)]), pairs),
        "text density": (lambda n: text_density(images[n % len(data)]), pairs),
        "caption": (lambda n: measure_caption(captions[n]), pairs),
        "language": (lambda n: guess_language(captions[n]), pairs),
    }
    seconds = {
        name: cpu(lambda call=call, n=n: [call(k) for k in range(n)]) for name, (call, n) in parts.items()
    }
    whole = sum(seconds.values())
    print(f"\nmeasuring {pairs} pairs of {side_px}px: {pairs / whole:,.0f} pairs a second and core")
    for name, spent in seconds.items():
        print(f"  {name:<14} {spent / pairs * 1e6:8.0f} us  {spent / whole:6.1%}")


def shares(count: int) -> None:
    """Time the lowest 30% of a column, by counting passes and by a sort, which must agree."""
    random = np.random.default_rng(0)
    scores, uids = random.standard_normal(count).round(4), random.permutation(count).astype(np.uint64)

    def chunks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, count, PIECE):
            yield scores[start : start + PIECE], uids[start : start + PIECE]

    before = peak_mb()
    found: list[np.ndarray] = []
    counting = cpu(lambda: found.append(lowest_share(chunks, 0.3).takes(scores, uids)))
    between = peak_mb()
    sorting = cpu(lambda: found.append(np.lexsort((uids, scores))[: int(0.3 * count)]))
    same = set(np.flatnonzero(found[0])) == set(found[1])
    print(f"\nlowest 30% of {count:,} scores, ties by uid; the two agree: {same}")
    print(f"  counting {counting:6.2f} s, at most {between - before:.0f} MB more")
    print(
        f"  sorting  {sorting:6.2f} s ({sorting / counting:.1f} x), at most {peak_mb() - between:.0f} MB more"
    )


def picture(number: int, side_px: int) -> np.ndarray:
    """Draw a smooth picture with a line of text."""
    random = np.random.default_rng(number)
    small = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    image = small.resize((side_px, side_px), Image.Resampling.BICUBIC)
    ImageDraw.Draw(image).text((8, 8), "a line of text", font=ImageFont.load_default(), fill="white")
    return np.array(image)


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of some work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def peak_mb() -> float:
    """Most memory this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
