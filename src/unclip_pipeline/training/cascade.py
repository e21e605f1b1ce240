"""What the configuration says of super-resolution stages, checked before anything runs; imports no torch."""

import re
from collections.abc import Mapping
from typing import Any

from unclip_pipeline.models.unet_config import UnetConfig

FIRST = "upsampler"
PARTS = {"network", "training"}
TILE_OVERLAP_PX = 32


def check_cascade(parameters: Mapping[str, Any]) -> None:
    """Refuse a cascade whose networks do not fit one another, by the names of the fields."""
    further = parameters.get("cascade") or {}
    for stage, section in further.items():
        if not re.fullmatch(rf"{FIRST}_\w+", stage) or set(section) != PARTS:
            raise ValueError(
                f"cascade takes stages by names such as {FIRST}_1024, each with its network and its training, "
                f"got {stage!r} with {sorted(section)}"
            )
    sections = {FIRST: parameters[FIRST]}
    sections |= {f"cascade.{stage}.network": section["network"] for stage, section in further.items()}
    networks = {name: _network(name, section) for name, section in sections.items()}
    check_sides(_network("decoder", parameters["decoder"]), networks)
    sampling = parameters.get("sampling") or {}
    check_tiles(sampling.get("tile_px", 0), sampling.get("tile_overlap_px", TILE_OVERLAP_PX), networks)


def check_sides(decoder: UnetConfig, upsamplers: Mapping[str, UnetConfig]) -> None:
    """Refuse upsamplers that do not begin where the network below them ends."""
    below, side_px = "decoder", decoder.side_px
    for name, upsampler in upsamplers.items():
        if upsampler.low_side_px != side_px:
            raise ValueError(
                f"{name}.low_side_px must be {below}.side_px, got {upsampler.low_side_px} and {side_px}; "
                "each network enlarges what the one below it draws"
            )
        below, side_px = name, upsampler.side_px


def check_tiles(tile_px: int, overlap_px: int, upsamplers: Mapping[str, UnetConfig]) -> None:
    """Refuse squares that a network cannot be shown, or that would change what it sees."""
    if min(tile_px, overlap_px) < 0:
        raise ValueError(
            f"sampling.tile_px and sampling.tile_overlap_px must not be negative, got {tile_px=} and "
            f"{overlap_px=}; tile_px: 0 enlarges whole pictures"
        )
    cut = {name: network for name, network in upsamplers.items() if 0 < tile_px < network.side_px}
    for name, network in cut.items():
        if any(network.attention):
            raise ValueError(
                f"sampling.tile_px needs networks without attention, whose every pixel looks at all others, got "
                f"{name}.attention={network.attention} and {tile_px=}; set the tile to 0 or every attention to false"
            )
        step = network.unshuffle * 2 ** (len(network.channels) - 1)
        if tile_px % step or overlap_px % step or not 0 <= overlap_px < tile_px:
            raise ValueError(
                f"sampling.tile_px and sampling.tile_overlap_px must be multiples of {step}, which {name} folds "
                f"into one, and the overlap below the tile, got {tile_px=} and {overlap_px=}; try "
                f"{max(tile_px // step, 2) * step} and {step}"
            )


def _network(name: str, section: Mapping[str, Any]) -> UnetConfig:
    try:
        return UnetConfig(**section)
    except (TypeError, ValueError) as fault:
        raise ValueError(f"{name}: {fault}") from fault
