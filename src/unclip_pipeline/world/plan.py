"""Decide what every row of the URL list shows and says, and everything that is planted in it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from unclip_pipeline.corpus.uids import pair_uid
from unclip_pipeline.seeds import seed_of, seeded_numpy
from unclip_pipeline.world.captions import Caption, describe
from unclip_pipeline.world.opt_outs import NO_OPT_OUTS, OPT_OUTS
from unclip_pipeline.world.scenes import (
    Scene,
    WorldConfig,
    heldout_kind,
    sample_scenes,
    vary_one_attribute,
)

FAULTS: dict[str, str] = {  # how a fetch is made to fail: the fate it deserves
    "status_404": "scrape.http_404",
    "status_403": "scrape.http_403",
    "status_410": "scrape.http_410",
    "status_500": "scrape.http_500",
    "refused": "scrape.connection_error",
    "redirect_loop": "scrape.redirect_loop",
    "html": "scrape.not_an_image",
    "truncated": "scrape.truncated",
    "empty": "scrape.empty",
    "tiny": "scrape.too_small",
}
TRANSFORMS = ("recompressed", "resized", "cropped", "stamped")
LICENCES = ("CC0-1.0", "CC-BY-4.0", None)
MAX_DRAWS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One row of the URL list with all that is planted in it."""

    url: str
    scene: Scene
    caption: Caption
    split: str = "train"
    licence: str | None = None
    caption_match: str = "all"  # all | none | one_attribute | junk
    wrong_attribute: str | None = None
    fault: str | None = None
    signal: tuple[str, str] | None = None  # one of OPT_OUTS or NO_OPT_OUTS
    redirected: bool = False
    transform: str | None = None  # how the bytes differ from those of `copy_of`
    copy_of: str | None = None  # uid of the row this picture was made from
    family: str | None = None  # uid of the scene that this one varies in one attribute

    @property
    def uid(self) -> str:
        """Name the pair as every later stage does."""
        return pair_uid(self.url, self.caption.text)

    @property
    def expected_fate(self) -> str:
        """Tell what `scrape` should make of this row."""
        if self.fault is not None:
            return FAULTS[self.fault]
        return "scrape.opted_out" if self.is_opted_out else "kept"

    @property
    def is_opted_out(self) -> bool:
        """Tell whether the owner forbids our use."""
        return self.signal in OPT_OUTS


def plan_world(config: WorldConfig, seed: int) -> list[Entry]:
    """List every row of the URL list, in the shuffled order in which it is listed."""
    heldout = _heldout(config, seed)
    counts = _Counts.of(config)
    originals = _originals(config, counts, seed)
    clean = [entry for entry in originals if _is_clean(entry)]
    rng = seeded_numpy(seed, "sources")
    order = rng.permutation(len(clean))
    bases = [clean[place] for place in order[: counts.family // 2]]
    others = [clean[place] for place in order[counts.family // 2 :]]
    sources = others + [entry for entry in heldout if heldout_kind(entry.scene, config) is None]
    entries = [
        *heldout,
        *originals,
        *_copies(sources, "exact", counts.exact, seed, config),
        *_copies(sources, "near", counts.near, seed, config),
        *_siblings(bases, counts.family, seed, config),
        *(others[place] for place in rng.choice(len(others), counts.repeated, replace=False)),
    ]
    return [entries[place] for place in seeded_numpy(seed, "order").permutation(len(entries))]


@dataclass(frozen=True, kw_only=True)
class _Counts:
    """Rows of `train` by how they come about."""

    original: int
    exact: int
    near: int
    family: int
    repeated: int
    unsafe: int
    faults: dict[str, int]

    @classmethod
    def of(cls, config: WorldConfig) -> "_Counts":
        train = config.images - config.heldout_combination_rows - config.heldout_seen_rows
        shares = {
            "exact": config.exact_duplicate_share,
            "near": config.near_duplicate_share,
            "family": config.template_family_share,
            "repeated": config.repeated_row_share,
        }
        made = {name: round(share * train) for name, share in shares.items()}
        faults = {
            "failure": config.failure_share,
            "opt_out": config.opt_out_share,
            "redirect": config.redirect_share,
            "wrong": config.wrong_caption_share,
            "one_wrong": config.one_wrong_attribute_share,
            "junk": config.junk_caption_share,
            "watermark": config.watermark_share,
        }
        return cls(
            original=train - sum(made.values()),
            unsafe=round(config.unsafe_share * train),
            faults={name: round(share * train) for name, share in faults.items()},
            **made,
        )


def _heldout(config: WorldConfig, seed: int) -> list[Entry]:
    combinations = sample_scenes(
        config, config.heldout_combination_rows, seed_of(seed, "heldout"), combinations="heldout"
    )
    seen = sample_scenes(config, config.heldout_seen_rows, seed_of(seed, "heldout_seen"))
    return [
        replace(entry, split="heldout") for entry in _entries([*combinations, *seen], config, seed, "heldout")
    ]


def _originals(config: WorldConfig, counts: _Counts, seed: int) -> list[Entry]:
    """Draw the pictures of `train` and plant every fault, each row having one at most."""
    hazards = sample_scenes(config, counts.unsafe, seed_of(seed, "unsafe"), kinds=("hazard",))
    others = sample_scenes(config, counts.original - counts.unsafe, seed_of(seed, "train"))
    entries = _entries(others, config, seed, "train")
    rng = seeded_numpy(seed, "faults")
    places = iter(rng.permutation(len(entries)).tolist())
    for fault, count in counts.faults.items():
        for number in range(count):
            place = next(places, None)
            if place is None:
                raise ValueError(
                    f"the planted shares leave no row without a fault: {counts.faults} of {len(entries)} "
                    "rows; lower the shares of the section world"
                )
            entries[place] = _PLANTERS[fault](entries, place, number, config, rng)
    return _entries(hazards, config, seed, "hazard") + entries


def _plant_failure(
    entries: list[Entry], place: int, number: int, config: WorldConfig, rng: np.random.Generator
) -> Entry:
    fault = list(FAULTS)[number % len(FAULTS)]
    entry = replace(entries[place], fault=fault)
    if fault == "refused":  # nothing listens on this loopback address
        host = entry.url.split("/")[2]
        return replace(entry, url=entry.url.replace(host, f"127.0.0.250:{config.port}"))
    return entry


def _plant_opt_out(
    entries: list[Entry], place: int, number: int, config: WorldConfig, rng: np.random.Generator
) -> Entry:
    return replace(entries[place], signal=OPT_OUTS[number % len(OPT_OUTS)])


def _plant_redirect(
    entries: list[Entry], place: int, number: int, config: WorldConfig, rng: np.random.Generator
) -> Entry:
    return replace(entries[place], redirected=True, url=entries[place].url.replace("/pictures/", "/old/"))


def _plant_wrong(
    entries: list[Entry], place: int, number: int, config: WorldConfig, rng: np.random.Generator
) -> Entry:
    """Take the caption of a scene that differs in what is shown, not merely in where or how."""
    own = entries[place].scene
    while True:
        other = entries[rng.integers(len(entries))].scene
        if other.kind != own.kind or (
            (other.shape, other.colour) != (own.shape, own.colour)
            if own.kind == "shape"
            else other.occupation != own.occupation and other.group != own.group
        ):
            return replace(entries[place], caption=describe(other, rng), caption_match="none")


def _plant_one_wrong(
    entries: list[Entry], place: int, number: int, config: WorldConfig, rng: np.random.Generator
) -> Entry:
    """Describe a scene that differs in one attribute, until the caption names that one."""
    while True:
        other, attribute = vary_one_attribute(entries[place].scene, config, rng)
        caption = describe(other, rng)
        if attribute in caption.named:
            return replace(
                entries[place], caption=caption, caption_match="one_attribute", wrong_attribute=attribute
            )


def _plant_junk(
    entries: list[Entry], place: int, number: int, config: WorldConfig, rng: np.random.Generator
) -> Entry:
    stem = int(rng.integers(1000, 10_000))
    words = (f"IMG_{stem}.jpg", f"DSC0{stem}.JPG", "picture", "image", f"photo-{stem}.png", "untitled")
    return replace(entries[place], caption=Caption(words[number % len(words)], ()), caption_match="junk")


def _plant_watermark(
    entries: list[Entry], place: int, number: int, config: WorldConfig, rng: np.random.Generator
) -> Entry:
    scene = replace(entries[place].scene, watermark=True)
    return replace(entries[place], scene=scene, caption=describe(scene, rng))


_PLANTERS = {
    "failure": _plant_failure,
    "opt_out": _plant_opt_out,
    "redirect": _plant_redirect,
    "wrong": _plant_wrong,
    "one_wrong": _plant_one_wrong,
    "junk": _plant_junk,
    "watermark": _plant_watermark,
}


def _copies(
    sources: list[Entry], transform: str, count: int, seed: int, config: WorldConfig
) -> Iterator[Entry]:
    """Copy pictures to other URLs under other captions; some pictures are copied several times."""
    rng = seeded_numpy(seed, "copies", transform)
    pool = rng.choice(len(sources), max(1, round(0.8 * count)), replace=False)
    for number in range(count):
        source = sources[pool[number] if number < len(pool) else rng.choice(pool)]
        [copy] = _entries([source.scene], config, seed, transform, number)
        how = "exact" if transform == "exact" else TRANSFORMS[number % len(TRANSFORMS)]
        url = copy.url
        if how == "exact":  # the same bytes keep their file type
            url = url[:-3] + source.url[-3:]
        elif how == "recompressed":
            url = url[:-3] + "jpg"
        yield replace(copy, url=url, transform=how, copy_of=source.uid)


def _siblings(bases: list[Entry], count: int, seed: int, config: WorldConfig) -> Iterator[Entry]:
    """Repeat a template with one attribute changed: alike to a careless eye, and no duplicates.

    Pose and light are those of the first; the sensor's noise is new, as in any second picture. No two of
    a family show the same.
    """
    rng = seeded_numpy(seed, "families")
    shown = [{base.scene.latents} for base in bases]
    for number in range(count):
        place = number % len(bases)
        base = bases[place]
        scene = _unlike(shown[place], base.scene, config, rng)
        shown[place].add(scene.latents)
        scene = replace(scene, noise_seed=seed_of(seed, "family", number))
        [sibling] = _entries([scene], config, seed, "family", number)
        yield replace(sibling, family=base.uid)


def _unlike(shown: set[str], scene: Scene, config: WorldConfig, rng: np.random.Generator) -> Scene:
    for _ in range(MAX_DRAWS):
        varied, _ = vary_one_attribute(scene, config, rng)
        if varied.latents not in shown:
            return varied
    raise ValueError(
        f"{MAX_DRAWS} draws gave no picture that its template family lacks: {sorted(shown)}; "
        "lower world.template_family_share or give the world more values"
    )


def _entries(
    scenes: list[Scene], config: WorldConfig, seed: int, purpose: str, first: int = 0
) -> list[Entry]:
    """Give scenes an address, a licence and an honest caption; addresses betray nothing."""
    entries = []
    for number, scene in enumerate(scenes, start=first):
        rng = seeded_numpy(seed, "entry", purpose, number)
        name = f"{seed_of(seed, 'name', purpose, number):016x}"[-10:]
        host = f"127.0.0.{1 + int(rng.integers(config.hosts))}:{config.port}"
        kind = "jpg" if rng.random() < 0.4 else "png"
        signal = NO_OPT_OUTS[rng.integers(len(NO_OPT_OUTS))] if rng.random() < 0.01 else None
        entries.append(
            Entry(
                url=f"http://{host}/pictures/{name[:2]}/{name}.{kind}",
                scene=scene,
                caption=describe(scene, rng),
                licence=LICENCES[rng.integers(len(LICENCES))],
                signal=signal,
            )
        )
    return entries


def _is_clean(entry: Entry) -> bool:
    return (
        entry.expected_fate == "kept"
        and entry.caption_match == "all"
        and entry.scene.kind != "hazard"
        and not entry.scene.watermark
        and not entry.redirected
    )
