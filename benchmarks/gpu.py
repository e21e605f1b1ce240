"""Training at the sizes of conf/gpu on one GPU: python benchmarks/gpu.py

Pictures a second, memory and share of the peak, of prior, decoder and upsampler, through the training loop with
torch.compile, bfloat16 and channels last, on made-up data that lies on the device. The peak is the best bfloat16
matrix product of several sizes on the same device. Writes results/<device>-models.json and .md beside this
file. `--device cpu --tiny` only shows that it runs.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from unclip_pipeline.models.prior import Prior, PriorConfig, Text
from unclip_pipeline.models.unet import Unet
from unclip_pipeline.models.unet_config import UnetConfig
from unclip_pipeline.training import decoder as of_decoder
from unclip_pipeline.training import prior as of_prior
from unclip_pipeline.training.decoder import DecoderBatch, DecoderTraining
from unclip_pipeline.training.devices import autocast
from unclip_pipeline.training.loop import Loss, train
from unclip_pipeline.training.optim import TrainConfig, muon_matrices
from unclip_pipeline.training.prior import PriorBatch, PriorTraining
from unclip_pipeline.training.state import TrainingState
from unclip_pipeline.training.upsampler import UpsamplerBatch, UpsamplerTraining, upsampler_loss

CONF = Path(__file__).parents[1] / "conf"
CLIP_WIDTH = 768  # of ViT-L-14, both towers
TOKENS = 77
WARM_STEPS = 5  # in which blocks are compiled and kernels chosen
TINY = {
    "prior": {"width": 64, "layers": 2, "heads": 2},
    "decoder": {"side_px": 16, "channels": [32, 64], "attention": [False, True], "head_width": 32},
    "upsampler": {"side_px": 32, "low_side_px": 16, "channels": [32, 64], "attention": [False, False]},
    "train_prior": {"batch_size": 8},
    "train_decoder": {"batch_size": 4},
    "train_upsampler": {"batch_size": 4, "crop_px": 16},
}


class Stage(NamedTuple):
    """One network, how it is trained, and made-up rows of its batches."""

    model: nn.Module
    config: TrainConfig
    loss: Loss
    rows: Callable[[int], NamedTuple]
    adamw: tuple[str, ...]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", nargs="+", default=["prior", "decoder", "upsampler"], choices=STAGES)
    parser.add_argument("--environment", default="gpu", help="folder of conf with the sizes")
    parser.add_argument("--batch-size", type=int, help="in place of the configured one")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--tiny", action="store_true", help="small networks, to see that this runs")
    parser.add_argument("--into", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here: run this on a machine with one (--device cpu --tiny shows that it runs)")
        sys.exit(2)
    device = torch.device(options.device)
    parameters = sizes(options.environment, tiny=options.tiny)
    found = {"hardware": hardware(device), "torch": torch.__version__, "tiny": options.tiny, "stages": {}}
    for name in options.stages:
        with torch.device(device):
            stage = STAGES[name](parameters)
        found["stages"][name] = figures(stage, device, options)
        print(f"{name}: {found['stages'][name]}")
    write(found, options.into)


def sizes(environment: str, *, tiny: bool) -> dict[str, Any]:
    """What a run of this environment is given: the base with the environment laid over it."""
    base = [OmegaConf.load(path) for path in sorted((CONF / "base").glob("parameters*.yml"))]
    merged = OmegaConf.merge(*base, OmegaConf.load(CONF / environment / "parameters.yml"))
    return OmegaConf.to_container(OmegaConf.merge(merged, TINY) if tiny else merged)


def prior_stage(given: dict[str, Any]) -> Stage:
    """The prior, on full captions."""
    config, architecture = PriorTraining(**given["train_prior"]), PriorConfig(**given["prior"])
    model = Prior(architecture, embedding_width=CLIP_WIDTH, text_width=CLIP_WIDTH)
    loss = of_prior.prior_loss(config, text_rows(1), architecture.schedule)
    return Stage(
        model, config, loss, lambda n: PriorBatch(torch.randn(n, CLIP_WIDTH), text_rows(n), []),
        of_prior.ADAMW_LAYERS,
    )  # fmt: skip


def decoder_stage(given: dict[str, Any]) -> Stage:
    """The decoder, on full captions."""
    config, architecture = DecoderTraining(**given["train_decoder"]), UnetConfig(**given["decoder"])
    model = Unet(architecture, embedding_width=CLIP_WIDTH, text_width=CLIP_WIDTH)
    side_px = architecture.side_px

    def rows(n: int) -> DecoderBatch:
        return DecoderBatch(torch.randn(n, 3, side_px, side_px), torch.randn(n, CLIP_WIDTH), text_rows(n), [])

    loss = of_decoder.decoder_loss(config, text_rows(1), architecture)
    return Stage(with_checkpointing(model, config), config, loss, rows, of_decoder.ADAMW_LAYERS)


def upsampler_stage(given: dict[str, Any]) -> Stage:
    """Super-resolution, on crops."""
    config, architecture = UpsamplerTraining(**given["train_upsampler"]), UnetConfig(**given["upsampler"])

    def rows(n: int) -> UpsamplerBatch:
        crops = torch.randn(2, n, 3, config.crop_px, config.crop_px)
        return UpsamplerBatch(crops[0], crops[1], torch.rand(n), [])

    model = with_checkpointing(Unet(architecture), config)
    return Stage(model, config, upsampler_loss(architecture), rows, of_decoder.ADAMW_LAYERS)


STAGES = {"prior": prior_stage, "decoder": decoder_stage, "upsampler": upsampler_stage}


def with_checkpointing(model: Unet, config: DecoderTraining | UpsamplerTraining) -> Unet:
    """The network as its configuration trains it."""
    model.checkpointing = config.gradient_checkpointing
    return model


def text_rows(n: int) -> Text:
    """Captions that fill the context."""
    mask = torch.ones(n, TOKENS, dtype=torch.bool)
    return Text(torch.randn(n, CLIP_WIDTH), torch.randn(n, TOKENS, CLIP_WIDTH), mask)


def figures(stage: Stage, device: torch.device, options: argparse.Namespace) -> dict[str, Any]:
    """Speed, memory and share of the peak of one network in training."""
    size = options.batch_size or stage.config.batch_size
    config = replace(
        stage.config, images=(WARM_STEPS + options.steps) * size, batch_size=size, warmup_images=0,
        checkpoint_images=0, preview_images=0, precision="bfloat16", compile=not options.no_compile,
    )  # fmt: skip
    flops = flops_of(stage, device) * size
    with torch.device(device):
        batch = stage.rows(size)
    model = stage.model.to(memory_format=torch.channels_last)
    state = TrainingState.start(model, config, muon=muon_matrices(model, config, exclude=list(stage.adamw)))
    marks_s = []
    for step in train(state, lambda _: batch, stage.loss, config, seed=0):
        marks_s.append(now_s(device))
        if step.images_seen == WARM_STEPS * size and device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
    taken_s = (marks_s[-1] - marks_s[WARM_STEPS - 1]) / options.steps
    products = [product_rate(side, device) for side in ((256, 512) if options.tiny else (4096, 8192, 16384))]
    memory = torch.cuda.max_memory_allocated() if device.type == "cuda" else None
    return {
        "parameters_m": round(sum(p.numel() for p in model.parameters()) / 1e6, 1),
        "batch_size": size,
        "images_per_s": round(size / taken_s, 1),
        "memory_gib": memory and round(memory / 2**30, 2),
        "tflop_per_s": round(flops / taken_s / 1e12, 3),
        "peak_tflop_per_s": round(max(products) / 1e12, 3),
        "share_of_peak": round(flops / taken_s / max(products), 3),
        "compiled": config.compile,
    }


def flops_of(stage: Stage, device: torch.device, rows: int = 2) -> float:
    """Products and convolutions of one row, forwards and backwards, by torch's counter on the plain network."""
    with torch.device(device):
        batch = stage.rows(rows)
    generator = torch.Generator().manual_seed(0)
    with FlopCounterMode(display=False) as counter, autocast(device, "bfloat16"):
        value, _ = stage.loss(stage.model, batch, generator)
        value.backward()
    stage.model.zero_grad(set_to_none=True)
    return counter.get_total_flops() / rows


def product_rate(side: int, device: torch.device, repeats: int = 10) -> float:
    """FLOP a second of a square bfloat16 product, the best of several goes of many."""
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    best_s = float("inf")
    for _ in range(4):
        began_s = now_s(device)
        for _ in range(repeats):
            a @ a
        best_s = min(best_s, (now_s(device) - began_s) / repeats)
    return 2 * side**3 / best_s


def now_s(device: torch.device) -> float:
    """The clock, once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def hardware(device: torch.device) -> str:
    """The device's name."""
    return torch.cuda.get_device_name() if device.type == "cuda" else "cpu"


def write(found: dict[str, Any], folder: Path) -> None:
    """Leave the figures, the hardware in the name of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = "-tiny" if found["tiny"] else ""
    path = folder / f"{found['hardware'].lower().replace(' ', '-')}-models{kind}.json"
    path.write_text(json.dumps(found, indent=2) + "\n")
    columns = list(next(iter(found["stages"].values())))
    lines = [f"# Training on {found['hardware']}, torch {found['torch']}", ""]
    lines += [f"| network | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in found["stages"].items():
        lines.append(f"| {name} | {' | '.join(str(row[column]) for column in columns)} |")
    path.with_suffix(".md").write_text("\n".join(lines) + "\n")
    print(f"written to {path} and .md")


if __name__ == "__main__":
    main()
