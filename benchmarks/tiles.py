"""What drawing in squares saves and changes: peak memory and time of one super-resolution step, and pictures.

    python benchmarks/tiles.py
    python benchmarks/tiles.py --project . --environment paper --stage upsampler_1024 --tiles 0 256
    python benchmarks/tiles.py --project . --weights data/06_models/upsampler   # what norms of a square change

Each row of the first table is a process of its own; memory is its peak above what the weights and the picture
take before drawing.
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf

from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.metrics.pictures import psnr_db
from unclip_pipeline.models.unet import Unet, load_unet
from unclip_pipeline.models.unet_config import UnetConfig
from unclip_pipeline.seeds import seeded
from unclip_pipeline.training.upsampler import shrunk
from unclip_pipeline.unclip import Enlarging, draw_large, to_uint8
from unclip_pipeline.unclip.tiling import spans_of
from unclip_pipeline.weights import load_weights

SMALL = dict(
    side_px=1024, low_side_px=256, channels=(32, 32, 64, 64), attention=(False,) * 4, blocks=1, target="x0"
)
MIB = 2**20


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument(
        "--project", type=Path, help="holds conf and data; without it a small network is measured"
    )
    words.add_argument("--environment", default="paper")
    words.add_argument("--stage", default="", help="of the section cascade; without it a small network")
    words.add_argument(
        "--weights", type=Path, help="a trained upsampler, to see what its norms make of squares"
    )
    words.add_argument("--tiles", type=int, nargs="+", default=[0, 512, 256, 128])
    words.add_argument("--overlap", type=int, default=32)
    words.add_argument("--pictures", type=int, default=64, help="held-out pictures, with --weights")
    asked = words.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    if asked.weights:
        compare_pictures(asked.project, asked.weights, asked.overlap, asked.pictures)
    else:
        compare_memory(network_of(asked.project, asked.environment, asked.stage), asked.tiles, asked.overlap)


def network_of(project: Path | None, environment: str, stage: str) -> UnetConfig:
    """A small network to 1024 px, or a stage of the project's configuration."""
    if project is None or not stage:
        return UnetConfig(**SMALL)
    given = OmegaConf.load(project / "conf" / environment / "parameters.yml")
    return UnetConfig(**OmegaConf.to_container(given)["cascade"][stage]["network"])


def compare_memory(network: UnetConfig, tiles: Sequence[int], overlap_px: int) -> None:
    """One picture, one step."""
    print(f"{'tile':>6} {'squares':>8} {'peak MiB':>9} {'of first':>9} {'seconds':>8} {'of first':>9}")
    first = None
    for tile_px in tiles:
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            peak_mib, wall_s = alone.apply(one_step, (network, tile_px, overlap_px))
        first = first or (peak_mib, wall_s)
        count = len(spans_of(network.side_px, tile_px, overlap_px)[0]) ** 2 if tile_px else 1
        shares = peak_mib / first[0], wall_s / first[1]
        print(
            f"{tile_px or 'whole':>6} {count:8} {peak_mib:9.0f} {shares[0]:9.3f} {wall_s:8.1f} {shares[1]:9.2f}"
        )


def one_step(config: UnetConfig, tile_px: int, overlap_px: int) -> tuple[float, float]:
    """Peak memory in MiB above that before drawing, and seconds."""
    network = Unet(config).eval().requires_grad_(False)
    small = torch.zeros(1, 3, config.low_side_px, config.low_side_px, dtype=torch.uint8)
    how = Enlarging(steps=1, tile_px=tile_px, tile_overlap_px=overlap_px)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    draw_large(network, small, None, [seeded(0, "tiles")], how)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (peak - before) * 1024 / MIB, time.perf_counter() - began


def compare_pictures(project: Path, weights: Path, overlap_px: int, count: int) -> None:
    """Whole pictures against squares, also on pictures of twice the side: four held-out ones put together."""
    dataset, trained = Dataset.open(project / "data/05_model_input/dataset"), load_weights(weights)
    network = load_unet(trained, "upsampler")
    side_px, facts = network.config.side_px, trained.config
    steps, noise = facts.get("sampling_steps", 2), facts.get("best_noise")
    print(f"{steps} steps at noise {noise}, {count} held-out pictures; grey levels of 255")
    print("  side  tile  whole dB  squares dB  mean change  99.9%   jump at seams  elsewhere")
    pictures = torch.from_numpy(dataset.images(dataset.rows("heldout")[:count], side_px))
    for truth in (pictures, mosaics(pictures)):
        larger = resized_network(network, truth.shape[-1])
        for tile_px in sorted({side_px // 2, 3 * side_px // 4, side_px} - {truth.shape[-1]}):
            overlap = min(overlap_px, tile_px // 2)
            whole, squares = (drawn(larger, truth, steps, noise, tile, overlap) for tile in (0, tile_px))
            change = (whole.int() - squares.int()).abs().float().numpy()
            at_seams, elsewhere = added_jumps(whole, squares, tile_px, overlap)
            print(
                f"{truth.shape[-1]:6} {tile_px:5} {psnr_db(whole, truth).mean():9.2f} "
                f"{psnr_db(squares, truth).mean():11.2f} {change.mean():12.2f} {np.quantile(change, 0.999):6.0f} "
                f"{at_seams:+15.3f} {elsewhere:+10.3f}"
            )


def mosaics(pictures: torch.Tensor) -> torch.Tensor:
    """Put four pictures together, again and again."""
    four = pictures.unflatten(0, (-1, 2, 2))
    return four.permute(0, 3, 1, 4, 2, 5).flatten(2, 3).flatten(3, 4)


def resized_network(network: Unet, side_px: int) -> Unet:
    """The same weights for pictures of another side: convolutions do not mind."""
    config = network.config
    low_side_px = side_px * config.low_side_px // config.side_px
    fields = {**vars(config), "side_px": side_px, "low_side_px": low_side_px}
    other = Unet(UnetConfig(**fields)).eval().requires_grad_(False)
    other.load_state_dict(network.state_dict())
    return other


def drawn(
    network: Unet, truth: torch.Tensor, steps: int, noise: float | None, tile_px: int, overlap_px: int
) -> torch.Tensor:
    """Shrink and enlarge again."""
    small = to_uint8(shrunk(truth, network.config.low_side_px))
    keys = [seeded(0, "tiles", row) for row in range(len(small))]
    how = Enlarging(steps=steps, noise=noise, tile_px=tile_px, tile_overlap_px=overlap_px)
    return draw_large(network, small, None, keys, how)


def added_jumps(
    whole: torch.Tensor, squares: torch.Tensor, tile_px: int, overlap_px: int
) -> tuple[float, float]:
    """How much more neighbouring columns differ than in whole pictures, where squares are blended and elsewhere."""
    spans, weights = spans_of(whole.shape[-1], tile_px, overlap_px)
    blended = ((weights > 0) & (weights < 1)).any(0)[1:]
    more = (squares.int().diff(dim=-1).abs() - whole.int().diff(dim=-1).abs()).float()
    return more[..., blended].mean().item(), more[..., ~blended].mean().item()


if __name__ == "__main__":
    main()
