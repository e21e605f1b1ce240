"""An independent eye: a small network, trained on fresh renders, that reads attributes off pictures."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from unclip_pipeline.corpus.intervals import share_metrics
from unclip_pipeline.progress import progress
from unclip_pipeline.seeds import seed_of, seeded
from unclip_pipeline.world.judge_config import JudgeConfig
from unclip_pipeline.world.renderer import render_all
from unclip_pipeline.world.scenes import Scene, WorldConfig, sample_scenes, vocabulary

KINDS = ("shape", "avatar")
ABSENT = -1  # the scene's kind does not have this attribute


class Judge(nn.Module):
    """Four convolution stages and one linear head per attribute."""

    def __init__(self, values: dict[str, tuple[str, ...]], side_px: int) -> None:
        super().__init__()
        self.values = values
        self.side_px = side_px
        self.stages = nn.Sequential(
            *_stage(3, 24, kernel=5, stride=2),
            *_stage(24, 48, kernel=3, stride=2),
            *_stage(48, 96, kernel=3, stride=1),
            *_stage(96, 96, kernel=3, stride=2),
            nn.Flatten(),
        )
        width = 96 * (side_px // 8) ** 2
        self.heads = nn.ModuleDict({name: nn.Linear(width, len(options)) for name, options in values.items()})

    def forward(self, pictures: Float[Tensor, "b 3 s s"]) -> dict[str, Float[Tensor, "b values"]]:
        features = self.stages(pictures)
        return {name: head(features) for name, head in self.heads.items()}

    @torch.no_grad()
    def read(self, images: UInt8[np.ndarray, "b h w 3"]) -> pd.DataFrame:
        """Name the likeliest value of every attribute of every picture, whether or not it has one."""
        self.eval()
        pictures = _as_seen(torch.from_numpy(images), self.side_px)
        scores = [self(batch) for batch in pictures.split(256)]
        return pd.DataFrame(
            {
                name: np.array(options)[torch.cat([batch[name] for batch in scores]).argmax(1).numpy()]
                for name, options in self.values.items()
            }
        )


def _stage(before: int, after: int, *, kernel: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(after), nn.ReLU()]


def train_judge(world: WorldConfig, config: JudgeConfig, *, seed: int) -> Judge:
    """Train on renders of all combinations, held out or not, sharp and blurred."""
    scenes = sample_scenes(
        world, config.pictures, seed_of(seed, "judge"), combinations="all", kinds=("shape", "shape", "avatar")
    )
    pictures = _as_seen(torch.from_numpy(render_all(scenes, world.side_px)), config.side_px)
    with torch.random.fork_rng():
        torch.manual_seed(seed_of(seed, "judge weights"))
        judge = Judge({"kind": KINDS, **vocabulary(world)}, config.side_px)
    labels = _labels(scenes, judge.values)
    steps = config.epochs * (config.pictures // config.batch_size)
    optimizer = torch.optim.AdamW(judge.parameters(), config.learning_rate, weight_decay=0.05, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=max(steps, 2))
    judge.train()
    for step in progress(range(steps), label="judge", unit="step"):
        generator = seeded(seed, "judge", step)
        rows = torch.randint(len(scenes), (config.batch_size,), generator=generator)
        loss = _loss(judge(degrade(pictures[rows], generator)), {name: labels[name][rows] for name in labels})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return judge.eval()


def check_judge(
    judge: Judge, world: WorldConfig, config: JudgeConfig, *, seed: int
) -> dict[str, int | float]:
    """Measure the judge on unseen renders, clean and blurred: the ceiling of every figure it gives."""
    scenes = sample_scenes(
        world, config.check_pictures, seed_of(seed, "judge check"), combinations="all", kinds=KINDS
    )
    clean = render_all(scenes, world.side_px)
    generator = seeded(seed, "judge check")
    seen = _as_seen(torch.from_numpy(clean), config.side_px)
    blurred = (degrade(seen, generator) * 127.5 + 127.5).round().clamp(0, 255).byte()
    metrics: dict[str, int | float] = {}
    for look, images in (("clean", clean), ("blurred", blurred.permute(0, 2, 3, 1).numpy())):
        readings = judge.read(images)
        for name in judge.values:
            truth = np.array([getattr(scene, name) or "" for scene in scenes])
            known = truth != ""
            hits = int((readings[name].to_numpy() == truth)[known].sum())
            metrics |= share_metrics(f"judge_{look}_{name}", hits, int(known.sum()))
    return metrics


def degrade(pictures: Float[Tensor, "b 3 s s"], generator: torch.Generator) -> Float[Tensor, "b 3 s s"]:
    """Spoil a batch as small generative models do: less resolution, noise, washed-out or shifted tones."""
    side = pictures.shape[-1]
    smaller = int(torch.randint(side * 3 // 8, side + 1, (), generator=generator))
    spoiled = F.interpolate(pictures, (smaller, smaller), mode="bilinear", antialias=True)
    spoiled = F.interpolate(spoiled, (side, side), mode="bilinear")
    contrast = 0.75 + 0.5 * torch.rand(len(pictures), 1, 1, 1, generator=generator)
    shift = 0.15 * torch.randn(len(pictures), 3, 1, 1, generator=generator)
    sigma = 0.2 * torch.rand(len(pictures), 1, 1, 1, generator=generator)
    noise = torch.randn(spoiled.shape, generator=generator)
    return (contrast * spoiled + shift + sigma * noise).clamp(-1, 1)


def _as_seen(images: UInt8[Tensor, "b h w 3"], side_px: int) -> Float[Tensor, "b 3 s s"]:
    parts = []
    for batch in images.split(1024):
        pictures = batch.permute(0, 3, 1, 2).float() / 127.5 - 1
        parts.append(F.interpolate(pictures, (side_px, side_px), mode="bilinear", antialias=True))
    return torch.cat(parts)


def _labels(scenes: Sequence[Scene], values: dict[str, tuple[str, ...]]) -> dict[str, Int[Tensor, " n"]]:
    return {
        name: torch.tensor(
            [
                ABSENT if getattr(scene, name) is None else options.index(getattr(scene, name))
                for scene in scenes
            ]
        )
        for name, options in values.items()
    }


def _loss(scores: dict[str, Tensor], labels: dict[str, Tensor]) -> Tensor:
    """Sum the cross entropies over attributes, each over the pictures that have it."""
    losses = [
        F.cross_entropy(scores[name], labels[name], ignore_index=ABSENT)
        for name in scores
        if (labels[name] != ABSENT).any()
    ]
    return torch.stack(losses).sum()
