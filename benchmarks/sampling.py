"""What sampling costs and gives on a finished run: samplers and steps, guidance, and what the prior is worth.

    python benchmarks/sampling.py --project . --into figures

All in one run, on the same held-out captions with the same noise; seconds are of process CPU. Shares are of
what captions of held-out combinations name, as the embedded world's judge reads it; differences are paired by
caption. `spread` is 1 - cos of two drawings of a caption. Writes tables, plots and contact sheets into a folder;
below the ways that a sheet shows row by row lie the true pictures. A quarter of an hour, a third of it DDPM's.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from omegaconf import OmegaConf
from torch import Tensor

from unclip_pipeline.corpus.images import contact_sheet
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.metrics.alignment import cosine, hits_at_1, retrieval_at_1, spread, unit
from unclip_pipeline.metrics.estimate import Estimate, mean_of, share_of
from unclip_pipeline.metrics.evaluation import Described, shifted
from unclip_pipeline.metrics.frechet import frechet, frechet_difference
from unclip_pipeline.metrics.prdc import prdc
from unclip_pipeline.pipelines.evaluate.measuring import described
from unclip_pipeline.pipelines.evaluate.plan import EvaluateConfig, Plan, make_plan
from unclip_pipeline.pipelines.evaluate.sweep import sampled
from unclip_pipeline.progress import progress
from unclip_pipeline.provenance import code_revision, hardware
from unclip_pipeline.unclip import SamplingConfig, UnClip
from unclip_pipeline.world.judge import Judge, train_judge
from unclip_pipeline.world.judge_config import JudgeConfig
from unclip_pipeline.world.scenes import WorldConfig
from unclip_pipeline.world.score_pictures import attribute_hits

ATTRIBUTES = ("shape", "colour", "size", "position", "background")
TWICE = 60  # captions drawn twice, for the spread
REPEATED = 250  # captions that training has twice
SHOWN = 16
DECODERS = {
    "DDIM 8": ("ddim", 8), "DDIM 20": ("ddim", 20), "DPM-Solver++ 8": ("dpm_solver_pp_2m", 8),
    "DPM-Solver++ 10": ("dpm_solver_pp_2m", 10), "DPM-Solver++ 15": ("dpm_solver_pp_2m", 15),
    "DPM-Solver++ 20": ("dpm_solver_pp_2m", 20), "DDPM 250": ("ddpm", 250),
}  # fmt: skip
PRIORS = {
    "DDIM 8": ("ddim", 8), "DDIM 16": ("ddim", 16), "DPM-Solver++ 8": ("dpm_solver_pp_2m", 8),
    "DPM-Solver++ 16": ("dpm_solver_pp_2m", 16), "DDPM 16": ("ddpm", 16), "DDPM 64": ("ddpm", 64),
}  # fmt: skip
DECODER_GUIDANCES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
PRIOR_GUIDANCES = (1.0, 1.5, 2.0, 3.0, 4.0)
PARTS = ("samplers", "priors", "guidance", "columns")


class Way(NamedTuple):
    """One way of drawing every caption: embeddings of a first drawing and of a second one for the spread."""

    first: Tensor
    second: Tensor
    sampling: SamplingConfig
    told: bool = True  # whether the decoder is told the caption beside the embedding


class Drawing(NamedTuple):
    """What was drawn, as the measures see it; `hits` is the share of named attributes drawn right."""

    pictures: Tensor
    seen: Described
    twice: Estimate
    hits: pd.DataFrame
    seconds: float  # of the decoder, a picture


@dataclass(frozen=True)
class Bench:
    """A finished run and the judge; rows of `plan.heldout` are drawn and held against `plan.others`."""

    unclip: UnClip
    dataset: Dataset
    plan: Plan
    judge: Judge
    truth: pd.DataFrame
    into: Path
    seed: int
    drawn: dict[str, Drawing] = field(default_factory=dict)

    @cached_property
    def captions(self) -> list[str]:
        return self.dataset.captions(self.plan.heldout)

    @cached_property
    def unseen(self) -> np.ndarray:
        """Which captions name a combination that training never saw."""
        return self.truth["heldout_kind"].reindex(self.dataset.uids(self.plan.heldout)).notna().to_numpy()

    @cached_property
    def images(self) -> Tensor:
        return torch.from_numpy(self.dataset.image_embeddings(self.plan.heldout))

    @cached_property
    def texts(self) -> np.ndarray:
        return unit(self.dataset.text_embeddings(self.plan.heldout))

    @cached_property
    def others(self) -> Described:
        return described(self.real(self.plan.others), self.unclip.encoder)

    def real(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(self.dataset.images(rows, self.unclip.image_side_px))

    def prior(self, sampling: SamplingConfig) -> tuple[Tensor, Tensor, float]:
        """Draw embeddings twice; seconds a caption."""
        stack, began = sampled(self.unclip, sampling), time.process_time()
        first = stack.sample_image_embeddings(self.captions, seed=self.seed)
        seconds = (time.process_time() - began) / len(first)
        return first, stack.sample_image_embeddings(self.captions[:TWICE], seed=self.seed + 1), seconds

    def draw(self, way: Way) -> Drawing:
        """Draw every caption, and the first ones twice; enlarge all in the same way."""
        captions = self.captions if way.told else [""] * len(self.captions)
        stack, began = sampled(self.unclip, way.sampling), time.process_time()
        small = stack.decode(way.first, captions, seed=self.seed)
        seconds = (time.process_time() - began) / len(small)
        again = stack.decode(way.second, captions[:TWICE], seed=self.seed + 1)
        pictures, repeated = (
            self.unclip.upsample(images, embeddings, seed=self.seed, names=self.captions[: len(images)])
            for images, embeddings in ((small, way.first), (again, way.second))
        )
        seen, others = (described(images, self.unclip.encoder) for images in (pictures, repeated))
        twice = spread(seen.clip[:TWICE], others.clip, extractor="clip")
        return Drawing(pictures, seen, twice, self.hits(pictures), seconds)

    def hits(self, pictures: Tensor) -> pd.DataFrame:
        """Tell what of the captions the judge reads; missing where the caption names nothing."""
        readings = self.judge.read(pictures.permute(0, 2, 3, 1).numpy())
        return attribute_hits(pd.Series(self.captions), readings)[list(ATTRIBUTES)]


def main() -> None:
    """Draw, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--project", type=Path, default=Path())
    parser.add_argument("--into", type=Path, required=True, help="folder for tables, plots and sheets")
    parser.add_argument("--prompts", type=int, default=320, help="held-out captions, each drawn in every way")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.into.mkdir(parents=True, exist_ok=True)
    print(
        f"{hardware()}, torch {version('torch')}, {torch.get_num_threads()} threads, {code_revision()[:12]}"
    )
    bench = opened(options.project, options.into, prompts=options.prompts, seed=options.seed)
    print(f"dataset {bench.dataset.version}, {len(bench.captions)} captions, {bench.unseen.sum()} of held-out "
          f"combinations, {bench.unclip.sampling}")  # fmt: skip
    for part in options.parts:
        {"samplers": samplers, "priors": priors, "guidance": guidance, "columns": columns}[part](bench)


def opened(project: Path, into: Path, *, prompts: int, seed: int) -> Bench:
    """Open a finished run and train the judge."""
    files = sorted((project / "conf/base").glob("parameters*.yml"))
    parameters: Any = OmegaConf.to_container(OmegaConf.merge(*map(OmegaConf.load, files)))
    unclip = UnClip.load(project / "data/06_models/bundle")
    unclip.sampling = SamplingConfig(**parameters["sampling"])
    dataset = Dataset.open(project / "data/05_model_input/dataset")
    plan = make_plan(dataset, EvaluateConfig(heldout_prompts=prompts), seed=seed)
    world, judge = (
        WorldConfig(**parameters["world"]),
        JudgeConfig(**parameters["judge"]),
    )
    truth = pd.read_parquet(project / "data/01_raw/world_truth.parquet").set_index("uid")
    return Bench(unclip, dataset, plan, train_judge(world, judge, seed=seed), truth, into, seed)


def samplers(bench: Bench) -> None:
    """Compare samplers and steps of the decoder, all on the same embeddings of the prior."""
    usual = bench.unclip.sampling
    first, second, _ = bench.prior(usual)
    ways = {
        name: Way(first, second, replace(usual, sampler=sampler, decoder_steps=steps))
        for name, (sampler, steps) in DECODERS.items()
    }
    show(bench, "samplers", ways, reference="DDPM 250")


def priors(bench: Bench) -> None:
    """Compare samplers and steps of the prior, as embeddings and as pictures of the same decoder."""
    usual, ways, rows = bench.unclip.sampling, {}, {}
    for name, (sampler, steps) in progress(PRIORS.items(), label="priors", unit="way"):
        first, second, seconds = bench.prior(replace(usual, sampler=sampler, prior_steps=steps))
        ways[name] = Way(first, second, usual)
        rows[name] = {"seconds": f"{seconds:.4f}"} | embedding_row(bench, first, second)
    rows["text, mean-shifted"] = embedding_row(bench, *text_embeddings(bench)["text, mean-shifted"])
    rows["real"] = {
        "FD": text_of(
            frechet(
                unit(bench.dataset.image_embeddings(bench.plan.others)),
                unit(bench.images.numpy()),
                extractor="clip",
            )
        )
    }
    write(bench, "prior_spread", prior_spread(bench))
    write(bench, "prior_embeddings", pd.DataFrame.from_dict(rows, orient="index").fillna(""))
    show(bench, "priors", ways, reference="DDPM 64")


def guidance(bench: Bench) -> None:
    """Sweep the guidance of decoder and prior, and how many embeddings are drawn to choose from."""
    usual = bench.unclip.sampling
    first, second, _ = bench.prior(usual)
    decoder = {
        f"decoder {scale:g}": Way(first, second, replace(usual, decoder_guidance=scale))
        for scale in DECODER_GUIDANCES
    }
    prior = {
        f"prior {scale:g}": Way(*bench.prior(replace(usual, prior_guidance=scale))[:2], usual)
        for scale in PRIOR_GUIDANCES
    }
    choose = {
        f"prior, best of {count}": Way(*bench.prior(replace(usual, prior_samples=count))[:2], usual)
        for count in (1, 4, 8)
    }
    ways = decoder | prior | choose
    found = show(bench, "guidance", ways, reference=f"decoder {usual.decoder_guidance:g}")
    plot_guidance(found, bench.into / "guidance.png")


def columns(bench: Bench) -> None:
    """Compare what the decoder is given: nothing, the caption's embedding, the prior's, the true picture's."""
    usual, nothing = bench.unclip.sampling, bench.unclip.decoder.embed.null_embedding.cpu()
    embeddings = {
        "no embedding": (
            nothing.expand(len(bench.captions), -1),
            nothing.expand(len(bench.captions[:TWICE]), -1),
        ),
        **text_embeddings(bench),
        "prior": bench.prior(usual)[:2],
        "true image": (bench.images, bench.images[:TWICE]),
    }
    told = {name: Way(*pair, usual) for name, pair in embeddings.items()}
    show(bench, "columns", told, reference="prior")
    alone = {
        name: Way(*pair, usual, told=False) for name, pair in embeddings.items() if name != "no embedding"
    }
    show(bench, "columns_without_caption", alone, reference="prior")


def prior_spread(bench: Bench) -> pd.DataFrame:
    """Tell how far two embeddings of one caption lie apart: of two training pictures that share it, of the prior."""
    rows = bench.dataset.rows("train")
    captions = pd.Series(bench.dataset.captions(rows), index=rows)
    pairs = [list(group.index[:2]) for _, group in captions.groupby(captions, sort=False) if len(group) > 1]
    first, second = np.array(pairs[:REPEATED]).T
    told, found = captions[first].tolist(), {}
    real = (bench.dataset.image_embeddings(one) for one in (first, second))
    found["two training pictures"] = {"spread": text_of(spread(*real, extractor="clip"))}
    for scale in PRIOR_GUIDANCES[:3]:
        for count in (1, 2):
            usual = replace(bench.unclip.sampling, prior_guidance=scale, prior_samples=count)
            stack = sampled(bench.unclip, usual)
            drawn = (stack.sample_image_embeddings(told, seed=seed).numpy() for seed in (0, 1))
            name = f"prior, guidance {scale:g}, best of {count}"
            found[name] = {"spread": text_of(spread(*drawn, extractor="clip"))}
    return pd.DataFrame.from_dict(found, orient="index")


def text_embeddings(bench: Bench) -> dict[str, tuple[Tensor, Tensor]]:
    """The caption's own embedding at the length of an image's, as it is and moved by the modalities' gap."""
    train = bench.dataset.rows("train")
    images = bench.dataset.image_embeddings(train)
    gap_from = unit(bench.dataset.text_embeddings(train)).mean(0), unit(images).mean(0)
    length = float(np.linalg.norm(images, axis=1).mean())
    ways = {"text embedding": bench.texts, "text, mean-shifted": unit(shifted(bench.texts, *gap_from))}
    rows = {name: torch.from_numpy((way * length).astype(np.float32)) for name, way in ways.items()}
    return {name: (way, way[:TWICE]) for name, way in rows.items()}


def embedding_row(bench: Bench, first: Tensor, second: Tensor) -> dict[str, str]:
    """Measure embeddings against those of the true pictures."""
    real, guess = bench.images.numpy(), first.numpy()
    order = np.random.default_rng(bench.seed).permutation(len(real))
    found = {
        "cosine": cosine(guess, real, extractor="clip"),
        "retrieval of 50": retrieval_at_1(guess, real, among=50, order=order, extractor="clip"),
        "FD": frechet(unit(bench.dataset.image_embeddings(bench.plan.others)), unit(guess), extractor="clip"),
        "spread": spread(guess[:TWICE], second.numpy(), extractor="clip"),
    }
    return {name: text_of(estimate) for name, estimate in found.items()}


def show(
    bench: Bench, title: str, ways: Mapping[str, Way], *, reference: str
) -> dict[str, dict[str, Estimate]]:
    """Draw all ways, print their figures and their differences to the reference, and keep a sheet of pictures."""
    drawn = {name: bench.draw(way) for name, way in progress(ways.items(), label=title, unit="way")}
    found = {name: figures(bench, drawing) for name, drawing in drawn.items()}
    rows = {
        name: {"s/picture": f"{drawn[name].seconds:.3f}"}
        | {key: text_of(one) for key, one in measured.items()}
        for name, measured in found.items()
    }
    true = real_figures(bench)
    rows["real pictures"] = {key: text_of(one) for key, one in true.items()}
    write(bench, title, pd.DataFrame.from_dict(rows, orient="index").fillna(""))
    differences = {
        f"{name} - {reference}": {
            key: text_of(one) for key, one in paired(bench, drawing, drawn[reference]).items()
        }
        for name, drawing in drawn.items()
        if name != reference
    }
    write(bench, f"{title}_differences", pd.DataFrame.from_dict(differences, orient="index"))
    sheet = [
        picture for one in drawn.values() for picture in one.pictures[:SHOWN].permute(0, 2, 3, 1).numpy()
    ]
    sheet += list(bench.real(bench.plan.heldout[:SHOWN]).permute(0, 2, 3, 1).numpy())
    contact_sheet(sheet, columns=SHOWN, side_px=64).save(bench.into / f"{title}_pictures.png")
    return found


def figures(bench: Bench, drawing: Drawing) -> dict[str, Estimate]:
    """Measure one way: the judge's shares on held-out combinations, then agreement, distances and spread."""
    hits = drawing.hits[bench.unseen]
    shares = {name: share_of(hits[name].dropna().to_numpy(float)) for name in ATTRIBUTES}
    return {
        "all named": mean_of(named_right(hits)),
        **shares,
        **seen_figures(bench, drawing.seen),
        "spread": drawing.twice,
    }


def real_figures(bench: Bench) -> dict[str, Estimate]:
    """The same of the true pictures of the captions: ceiling and floor."""
    pictures = bench.real(bench.plan.heldout)
    hits = bench.hits(pictures)[bench.unseen]
    shares = {name: share_of(hits[name].dropna().to_numpy(float)) for name in ATTRIBUTES}
    return {"all named": mean_of(named_right(hits)), **shares} | seen_figures(
        bench, described(pictures, bench.unclip.encoder)
    )


def seen_figures(bench: Bench, seen: Described) -> dict[str, Estimate]:
    """Agreement with the captions, and likeness to other held-out pictures at equal n."""
    words, own = np.unique(np.array(bench.captions), return_inverse=True)
    candidates = bench.unclip.encoder.texts(words.tolist()).double().cpu().numpy()
    balls = prdc(bench.others.random, seen.random, neighbours=5, extractor="random")
    return {
        "R-precision": share_of(hits_at_1(seen.clip, candidates, own), "clip"),
        "FD clip": frechet(bench.others.clip, seen.clip, extractor="clip"),
        "FD random": frechet(bench.others.random, seen.random, extractor="random"),
        "recall random": balls.recall,
    }


def paired(bench: Bench, one: Drawing, other: Drawing) -> dict[str, Estimate]:
    """The first way less the second, caption by caption."""
    mine, theirs = one.hits[bench.unseen], other.hits[bench.unseen]
    gains = {name: (mine[name].astype(float) - theirs[name].astype(float)).dropna() for name in ATTRIBUTES}
    return {
        "all named": mean_of(named_right(mine) - named_right(theirs)),
        **{name: mean_of(gain.to_numpy(float)) for name, gain in gains.items()},
        "FD clip": frechet_difference(bench.others.clip, one.seen.clip, other.seen.clip, extractor="clip"),
        "FD random": frechet_difference(
            bench.others.random, one.seen.random, other.seen.random, extractor="random"
        ),
    }


def named_right(hits: pd.DataFrame) -> np.ndarray:
    """Share of what each caption names that is drawn right."""
    return hits.astype(float).mean(axis=1).to_numpy(float)


def text_of(one: Estimate) -> str:
    """Write value and interval."""
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def write(bench: Bench, title: str, table: pd.DataFrame) -> None:
    """Print a table and keep it."""
    print(f"\n{title}\n{table.to_string()}", flush=True)
    table.to_csv(bench.into / f"{title}.csv")


def plot_guidance(found: Mapping[str, Mapping[str, Estimate]], path: Path) -> None:
    """Draw quality against distance and against spread, a curve for the decoder's guidance and one for the prior's."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(10, 4.2), layout="constrained")
    for axes, (key, words) in zip(
        drawing.subplots(1, 2, sharey=True),
        {
            "FD clip": "Fréchet distance, own CLIP (lower is better)",
            "spread": "spread of two drawings (higher: more varied)",
        }.items(),
        strict=True,
    ):
        for who, colour in (("decoder", "#4b78a8"), ("prior", "#b5523b")):
            rows = {name.split()[1]: row for name, row in found.items() if name.startswith(f"{who} ")}
            x, y = ([row[of].value for row in rows.values()] for of in (key, "all named"))
            half = [row["all named"].high - row["all named"].value for row in rows.values()]
            axes.errorbar(x, y, yerr=half, color=colour, marker="o", capsize=2, label=f"{who} guidance")
            for scale, *at in zip(rows, x, y, strict=True):
                axes.annotate(scale, at, xytext=(4, 5), textcoords="offset points", color=colour)
        axes.set(xlabel=words)
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    drawing.axes[0].set_ylabel("named attributes drawn right")
    drawing.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
