"""Does the step wait for its pictures? Pictures read a second beside pictures trained on: python benchmarks/loader.py

Reads a dataset version of synthetic photos (or yours, with --dataset) as a training does, from this disk and from
an S3 server on loopback (moto, in a process of its own), then trains decoders of several sizes on it. All in one
run on one machine: compare the ratios. Needs the extra `dev`.
"""

import argparse
import contextlib
import io
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import torch
import yaml
from PIL import Image

from unclip_pipeline.corpus.files import atomic_folder
from unclip_pipeline.corpus.places import RemoteFolder
from unclip_pipeline.corpus.released import Dataset, ReleasedPair, write_dataset
from unclip_pipeline.corpus.shards import Sample
from unclip_pipeline.models.prior import Text
from unclip_pipeline.models.unet import Unet
from unclip_pipeline.models.unet_config import UnetConfig
from unclip_pipeline.provenance import hardware
from unclip_pipeline.seeds import seeded_numpy
from unclip_pipeline.training import pairs as pairs_module
from unclip_pipeline.training.decoder import ADAMW_LAYERS, DecoderBatch, DecoderTraining, decoder_loss
from unclip_pipeline.training.devices import default_device
from unclip_pipeline.training.loop import train
from unclip_pipeline.training.optim import muon_matrices
from unclip_pipeline.training.pairs import Pairs, Read
from unclip_pipeline.training.state import TrainingState, initialised

CONF = Path(__file__).resolve().parent.parent / "conf"
WIDTH = 768
SHARDS = 8
BUCKET = "bench"
TIMED_STEPS = {32: 4, 64: 2}  # by side of the picture


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, help="a folder; left out: synthetic photos")
    parser.add_argument("--photos", type=int, default=1_024)
    parser.add_argument("--photo-px", type=int, default=256)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument(
        "--big-batch-size", type=int, default=8, help="of conf/gpu's decoder; 0 leaves it out"
    )
    options = parser.parse_args()
    print(f"{hardware()}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.dataset or synthetic(Path(scratch), options.photos, options.photo_px)
        batch_sizes = {"base": options.batch_size, "gpu": options.big_batch_size}
        sizes = {f"conf/{name}": (decoder_of(name), size) for name, size in batch_sizes.items() if size}
        steps = {name: measure_step(folder, *size) for name, size in sizes.items()}
        for name, size in sizes.items():
            show_loader(folder, Path(scratch), name, size[0].side_px, steps[name], options)
        print()
        for name, size in sizes.items():
            show_waiting(folder, name, *size)


def show_loader(
    folder: Path, scratch: Path, name: str, side_px: int, step: float, options: argparse.Namespace
) -> None:
    """Read an epoch in every way and print how much faster than the step each is."""
    print(f"\n{name}: decoder at {side_px} px trains on {step:.0f} pictures a second\n")
    print(f"{'read from':<44}{'threads':>8}{'pictures/s':>12}{'loader / step':>15}")

    def show(what: str, place: Path | RemoteFolder, threads: int, *, kept: bool = False) -> None:
        rate = loader_rate(place, side_px, threads=threads, batch_size=options.batch_size, kept=kept)
        print(f"{what:<44}{threads or 'none':>8}{rate:>12.0f}{rate / step:>15.1f}")

    for threads in (0, *options.threads):
        show("this disk", folder, threads)
    most = max(options.threads)
    with s3_of(folder) as (url, access):
        far = RemoteFolder(url=url, cache=scratch / f"cache_{side_px}", options=access)
        show("S3, cold: fetched, checked and decoded", far, most)
        for threads in options.threads:
            show("S3, warm: shards in the cache", far, threads)
        show("S3, no cache: by byte range", replace(far, cache_gb=0), most)
    show("this disk, second epoch, decoded kept", folder, most, kept=True)


def loader_rate(
    place: Path | RemoteFolder, side_px: int, *, threads: int, batch_size: int, kept: bool
) -> float:
    """Pictures a second of one epoch; without threads as if nothing was read ahead. `kept`: of the second epoch."""
    pairs_module.PIXELS_KEPT_BYTES = 1 << 34 if kept else 0
    dataset = Dataset.open(place)
    pairs = Pairs(dataset, dataset.rows("train"), side_px, default_device())
    batches = len(pairs.rows) // batch_size
    config = DecoderTraining(
        images=2 * batches * batch_size,
        batch_size=batch_size,
        warmup_images=0,
        reading_threads=threads,
    )
    rows_at, read_at = pairs.batches(batch_size, seed=0), pairs.ahead(config, seed=0)
    if not threads:
        read_at = lambda position: pairs.read(rows_at(position))  # noqa: E731
    epoch = range(0, batches * batch_size, batch_size)
    if kept:
        pairs.images(pairs.rows)
    began = time.perf_counter()
    for position in epoch:
        read_at(position)
    return len(epoch) * batch_size / (time.perf_counter() - began)


def measure_step(folder: Path, architecture: UnetConfig, batch_size: int) -> float:
    """Pictures a second of the train step on a batch that is there already."""
    dataset = Dataset.open(folder)
    pairs = Pairs(dataset, dataset.rows("train"), architecture.side_px, default_device())
    batch = as_batch(pairs.read(pairs.rows[:batch_size]), dataset)
    taken = seconds_of(architecture, dataset, batch_size, lambda position: batch)
    return batch_size / min(total for total, _ in taken)


def show_waiting(folder: Path, name: str, architecture: UnetConfig, batch_size: int) -> None:
    """Train with the loader and print the share of time for which the steps wait."""
    pairs_module.PIXELS_KEPT_BYTES = 0
    dataset = Dataset.open(folder)
    pairs = Pairs(dataset, dataset.rows("train"), architecture.side_px, default_device())
    rows_at = pairs.batches(batch_size, seed=0)
    ways = {
        "read ahead": pairs.ahead(training_of(architecture, batch_size), seed=0),
        "read when asked for": lambda position: pairs.read(rows_at(position)),
    }
    for way, read_at in ways.items():
        taken = seconds_of(architecture, dataset, batch_size, lambda at, r=read_at: as_batch(r(at), dataset))
        share = sum(wait for _, wait in taken) / sum(total for total, _ in taken)
        rate = batch_size * len(taken) / sum(total for total, _ in taken)
        print(f"{name}, decoded anew, {way:<20} {rate:8.1f} pictures/s, steps wait {share:.1%} of the time")


def seconds_of(
    architecture: UnetConfig, dataset: Dataset, batch_size: int, batches: Callable[[int], DecoderBatch]
) -> list[tuple[float, float]]:
    """Seconds of each train step but the first, and for how many of them it waited."""
    config, device = training_of(architecture, batch_size), default_device()
    width = dataset.embedding_width
    unet = initialised(lambda: Unet(architecture, embedding_width=width, text_width=width), seed=0)
    state = TrainingState.start(
        unet.to(device), config, muon=muon_matrices(unet, config, exclude=ADAMW_LAYERS)
    )
    hidden = torch.zeros(1, 2, width, device=device), torch.ones(1, 2, dtype=torch.bool, device=device)
    empty = Text(
        torch.zeros(1, width, device=device), *(hidden if architecture.text_tokens else (None, None))
    )
    taken, began = [], time.perf_counter()
    for step in train(state, batches, decoder_loss(config, empty, architecture), config, seed=0):
        taken.append((time.perf_counter() - began, step.data_wait_s))
        began = time.perf_counter()
    return taken[1:]


def training_of(architecture: UnetConfig, batch_size: int) -> DecoderTraining:
    """A short run, whose first step is not counted."""
    steps = 1 + TIMED_STEPS[architecture.side_px]
    return DecoderTraining(images=steps * batch_size, batch_size=batch_size, warmup_images=0)


def as_batch(read: Read, dataset: Dataset) -> DecoderBatch:
    """What the decoder learns from, the captions' token states left out."""
    text = Text(read.text_embeddings)
    return DecoderBatch(
        read.pictures.float() / 127.5 - 1, read.image_embeddings, text, dataset.uids(read.rows)
    )


def decoder_of(environment: str) -> UnetConfig:
    """The decoder of an environment of conf/, told of no token states."""
    base = yaml.safe_load((CONF / "base/parameters_train_decoder.yml").read_text())["decoder"]
    over = {}
    if environment != "base":
        over = yaml.safe_load((CONF / environment / "parameters.yml").read_text())["decoder"]
    return UnetConfig(**{**base, **over, "text_tokens": False})


def synthetic(scratch: Path, count: int, side_px: int) -> Path:
    """Write a dataset version of JPEGs with detail at every scale."""
    random, folder = seeded_numpy(0, "loader"), scratch / "dataset"
    photos = [photo(side_px, number) for number in range(64)]
    vectors = random.standard_normal((2, WIDTH)).astype(np.float16)
    pairs = [
        ReleasedPair(
            Sample(f"{number:016x}", photos[number % 64], "jpg", f"photo {number}", {}),
            "train",
            1.0,
            *vectors,
        )
        for number in range(count)
    ]
    with atomic_folder(folder) as part:
        write_dataset(
            part, ((f"{shard:05d}", pairs[shard::SHARDS]) for shard in range(SHARDS)), embedder_id="none"
        )
    return folder


def photo(side_px: int, number: int) -> bytes:
    """Draw a JPEG about as large as a photo of this size."""
    random, picture = seeded_numpy(number, "photo"), np.zeros((side_px, side_px, 3))
    for cells in (4, 16, 64, 256):
        noise = random.normal(128, 128 / cells**0.5, (cells, cells, 3)).clip(0, 255).astype(np.uint8)
        picture += np.asarray(Image.fromarray(noise).resize((side_px, side_px)), float) - 128
    stream = io.BytesIO()
    Image.fromarray(np.clip(picture + 128, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


@contextlib.contextmanager
def s3_of(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Serve a folder from a bucket on loopback and yield its URL and the options that reach it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        access = {"key": "bench", "secret": "bench", "endpoint_url": f"http://127.0.0.1:{port}"}
        wait_for(port)
        files = fsspec.filesystem("s3", **access)
        files.mkdir(BUCKET)
        files.put(f"{folder}/", f"{BUCKET}/dataset/", recursive=True)
        yield f"s3://{BUCKET}/dataset", access
    finally:
        server.terminate()
        server.wait()


def wait_for(port: int, patience_s: float = 30.0) -> None:
    """Return once something listens there."""
    until = time.monotonic() + patience_s
    while True:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        if time.monotonic() > until:
            raise TimeoutError(f"the S3 server did not listen on port {port} within {patience_s:g} s")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
