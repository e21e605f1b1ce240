"""What can be seen in the world, and how a scene is drawn from it.

The groups of the avatars are abstract (amber, teal, violet skin). They stand for no people: they exist
so that an audit can be checked against shares that are known.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from unclip_pipeline.seeds import seed_of, seeded_numpy

SHAPES = ("circle", "square", "triangle", "star", "heart", "ring")
COLOURS = ("red", "blue", "yellow", "green", "purple", "turquoise")
SIZES = ("large", "small")
POSITIONS = ("left", "centre", "right")
BACKGROUNDS = ("white", "night", "striped", "sunset")
STYLES = ("flat", "outlined")
OCCUPATIONS = ("chef", "firefighter", "farmer", "wizard")
HAIR = ("short", "long")
GROUPS = ("amber", "teal", "violet")

AVATAR_ATTRIBUTES = ("occupation", "group", "hair", "background")
SHAPE_ATTRIBUTES = ("shape", "colour", "size", "position", "background", "style")
HAZARD_ATTRIBUTES = ("position", "background")


@dataclass(frozen=True, kw_only=True)
class WorldConfig:
    """The embedded world: how much of each thing exists, and what is planted in it.

    Shares of faults are shares of the rows whose split is `train`.
    """

    images: int = 20_000  # rows of the URL list
    side_px: int = 64
    port: int = 8765
    hosts: int = 3  # 127.0.0.1, 127.0.0.2, ...
    shapes: int = len(SHAPES)
    colours: int = len(COLOURS)
    sizes: int = len(SIZES)
    positions: int = len(POSITIONS)
    backgrounds: int = len(BACKGROUNDS)
    styles: int = len(STYLES)
    occupations: int = len(OCCUPATIONS)
    groups: int = len(GROUPS)
    avatar_share: float = 0.25
    group_skew: float = 0.6  # 0: groups are alike in every occupation; 1: the first has one group only
    heldout_colour_pairs: int = 6  # (shape, colour) pairs that no row of `train` shows
    heldout_background_pairs: int = 3  # (shape, background) pairs likewise
    heldout_combination_rows: int = 560
    heldout_seen_rows: int = 300
    noise_sigma: float = 4.0  # sensor noise, of 255
    failure_share: float = 0.06  # cannot be fetched: status, redirect loop, broken or tiny file
    redirect_share: float = 0.02  # fetched after a redirect
    opt_out_share: float = 0.02  # the owner forbids the use, by one of several signals
    exact_duplicate_share: float = 0.04  # same bytes at another URL
    repeated_row_share: float = 0.01  # the same URL and caption listed twice
    near_duplicate_share: float = 0.05  # recompressed, resized, cropped, watermarked copies
    template_family_share: float = 0.03  # copies of a scene with one attribute changed: not duplicates
    wrong_caption_share: float = 0.06  # the caption of another scene
    one_wrong_attribute_share: float = 0.02
    junk_caption_share: float = 0.02
    unsafe_share: float = 0.04  # shows a hazard sign
    watermark_share: float = 0.03
    sign_share: float = 0.03  # avatars beside a harmless warning sign
    leaking_group_sign_share: float = 0.30  # the same for the last group: a wide unsafe filter drops it more

    def __post_init__(self) -> None:
        for field, most in _VOCABULARY_SIZES.items():
            value = getattr(self, field)
            if not 1 <= value <= most:
                raise ValueError(f"world.{field} must lie in 1..{most}, got {value}; the world knows {most}")
        shares = {name: value for name, value in vars(self).items() if name.endswith("_share")}
        for name, value in {**shares, "group_skew": self.group_skew}.items():
            if not 0 <= value <= 1:
                raise ValueError(f"world.{name} is a share and must lie in 0..1, got {value}")
        heldout = self.heldout_combination_rows + self.heldout_seen_rows
        if self.images < 2 * heldout:
            raise ValueError(
                f"world.images must be at least twice the held-out rows, got {self.images} and {heldout}; "
                "raise world.images or lower world.heldout_combination_rows and world.heldout_seen_rows"
            )
        if self.heldout_colour_pairs > min(self.shapes, self.colours):
            raise ValueError(
                f"world.heldout_colour_pairs may take each shape and colour once, got "
                f"{self.heldout_colour_pairs} of {self.shapes} shapes and {self.colours} colours; lower it"
            )
        if self.heldout_background_pairs > min(self.shapes, self.backgrounds):
            raise ValueError(
                f"world.heldout_background_pairs may take each shape and background once, got "
                f"{self.heldout_background_pairs} of {self.shapes} and {self.backgrounds}; lower it"
            )


_VOCABULARY_SIZES = {
    "shapes": len(SHAPES),
    "colours": len(COLOURS),
    "sizes": len(SIZES),
    "positions": len(POSITIONS),
    "backgrounds": len(BACKGROUNDS),
    "styles": len(STYLES),
    "occupations": len(OCCUPATIONS),
    "groups": len(GROUPS),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """Everything a picture shows; attributes that its kind does not have are None."""

    kind: Literal["shape", "avatar", "hazard"]
    background: str
    shape: str | None = None
    colour: str | None = None
    size: str | None = None
    position: str | None = None
    style: str | None = None
    occupation: str | None = None
    group: str | None = None
    hair: str | None = None
    beside_sign: bool = False  # a small harmless warning sign stands beside the avatar
    watermark: bool = False
    dx: float = 0.0  # jitter, in shares of the side
    dy: float = 0.0
    scale: float = 1.0
    angle_deg: float = 0.0
    light: float = 1.0
    noise_sigma: float = 0.0
    noise_seed: int = 0

    @property
    def attributes(self) -> tuple[str, ...]:
        """Name the attributes that this kind of scene has."""
        return ATTRIBUTES[self.kind]

    @property
    def latents(self) -> str:
        """Spell everything but the jitter: two scenes with equal latents show the same content."""
        content = "/".join(getattr(self, name) for name in self.attributes)
        return f"{self.kind}:{content}{'+sign' * self.beside_sign}{'+watermark' * self.watermark}"


ATTRIBUTES = {"shape": SHAPE_ATTRIBUTES, "avatar": AVATAR_ATTRIBUTES, "hazard": HAZARD_ATTRIBUTES}


def vocabulary(config: WorldConfig) -> dict[str, tuple[str, ...]]:
    """List the values that each attribute takes in this world."""
    return {
        "shape": SHAPES[: config.shapes],
        "colour": COLOURS[: config.colours],
        "size": SIZES[: config.sizes],
        "position": POSITIONS[: config.positions],
        "background": BACKGROUNDS[: config.backgrounds],
        "style": STYLES[: config.styles],
        "occupation": OCCUPATIONS[: config.occupations],
        "group": GROUPS[: config.groups],
        "hair": HAIR,
    }


def heldout_colour_pairs(config: WorldConfig) -> frozenset[tuple[str, str]]:
    """List the (shape, colour) pairs that training never sees; no shape or colour loses more than one."""
    return frozenset(
        (SHAPES[k], COLOURS[(k + config.colours // 2) % config.colours])
        for k in range(config.heldout_colour_pairs)
    )


def heldout_background_pairs(config: WorldConfig) -> frozenset[tuple[str, str]]:
    """List the (shape, background) pairs that training never sees; no shape or background loses two."""
    return frozenset(
        (SHAPES[-1 - k + config.shapes - len(SHAPES)], BACKGROUNDS[(k + 1) % config.backgrounds])
        for k in range(config.heldout_background_pairs)
    )


def heldout_kind(scene: Scene, config: WorldConfig) -> Literal["colour", "background", "both"] | None:
    """Tell which held-out combination a scene shows, if any."""
    by_colour = (scene.shape, scene.colour) in heldout_colour_pairs(config)
    by_background = (scene.shape, scene.background) in heldout_background_pairs(config)
    if by_colour and by_background:
        return "both"
    return "colour" if by_colour else "background" if by_background else None


def group_shares(config: WorldConfig) -> Float[np.ndarray, "occupations groups"]:
    """Give P(group | occupation) as planted: each occupation favours a group, the last one none."""
    even = 1 / config.groups
    strengths = np.linspace(config.group_skew, 0.0, config.occupations)
    shares = np.full((config.occupations, config.groups), even) * (1 - strengths)[:, None]
    favourite = np.arange(config.occupations) % config.groups
    shares[np.arange(config.occupations), favourite] += strengths
    return shares


def sample_scenes(
    config: WorldConfig,
    n: int,
    seed: int,
    *,
    combinations: Literal["seen", "heldout", "all"] = "seen",
    kinds: tuple[str, ...] | None = None,
) -> list[Scene]:
    """Draw n scenes, each from its own generator; by default shapes and avatars as `train` shows them.

    `heldout` draws shapes of held-out combinations only, `all` lets them in; `kinds` draws each of the
    named kinds equally often in place of the configured share of avatars.
    """
    return [
        _draw(
            config, seeded_numpy(seed, "scene", number), combinations, kinds, seed_of(seed, "noise", number)
        )
        for number in range(n)
    ]


def vary_one_attribute(scene: Scene, config: WorldConfig, rng: np.random.Generator) -> tuple[Scene, str]:
    """Change one attribute and keep the jitter: another picture of the same template, still seen."""
    values = vocabulary(config)
    choices = [
        (name, value)
        for name in scene.attributes
        for value in values[name]
        if value != getattr(scene, name) and heldout_kind(replace(scene, **{name: value}), config) is None
    ]
    names = sorted({name for name, _ in choices})
    name = names[rng.integers(len(names))]
    allowed = [value for candidate, value in choices if candidate == name]
    return replace(scene, **{name: allowed[rng.integers(len(allowed))]}), name


def _draw(
    config: WorldConfig,
    rng: np.random.Generator,
    combinations: str,
    kinds: tuple[str, ...] | None,
    noise_seed: int,
) -> Scene:
    kind = _draw_kind(config, rng, combinations, kinds)
    while True:
        scene = replace(
            _DRAWERS[kind](config, rng), **_jitter(rng), noise_sigma=config.noise_sigma, noise_seed=noise_seed
        )
        unseen = heldout_kind(scene, config) is not None
        if combinations == "all" or unseen == (combinations == "heldout"):
            return scene


def _draw_kind(
    config: WorldConfig, rng: np.random.Generator, combinations: str, kinds: tuple[str, ...] | None
) -> str:
    if combinations == "heldout":
        return "shape"
    if kinds is not None:
        return kinds[rng.integers(len(kinds))]
    return "avatar" if rng.random() < config.avatar_share else "shape"


def _draw_shape(config: WorldConfig, rng: np.random.Generator) -> Scene:
    return Scene(kind="shape", **_draw_values(config, rng, SHAPE_ATTRIBUTES))


def _draw_hazard(config: WorldConfig, rng: np.random.Generator) -> Scene:
    return Scene(kind="hazard", **_draw_values(config, rng, HAZARD_ATTRIBUTES))


def _draw_avatar(config: WorldConfig, rng: np.random.Generator) -> Scene:
    values = _draw_values(config, rng, ("occupation", "hair", "background"))
    shares = group_shares(config)[OCCUPATIONS.index(values["occupation"])]
    group = GROUPS[rng.choice(config.groups, p=shares)]
    leaks = group == GROUPS[config.groups - 1]
    sign = rng.random() < (config.leaking_group_sign_share if leaks else config.sign_share)
    return Scene(kind="avatar", group=group, beside_sign=bool(sign), **values)


_DRAWERS = {"shape": _draw_shape, "avatar": _draw_avatar, "hazard": _draw_hazard}


def _draw_values(config: WorldConfig, rng: np.random.Generator, names: tuple[str, ...]) -> dict[str, str]:
    values = vocabulary(config)
    return {name: values[name][rng.integers(len(values[name]))] for name in names}


def _jitter(rng: np.random.Generator) -> dict[str, float]:
    return {
        "dx": float(rng.uniform(-0.02, 0.02)),
        "dy": float(rng.uniform(-0.05, 0.05)),
        "scale": float(rng.uniform(0.93, 1.07)),
        "angle_deg": float(rng.uniform(-6, 6)),
        "light": float(rng.uniform(0.92, 1.08)),
    }
