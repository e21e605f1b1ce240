"""What the configuration says of super-resolution stages, checked before anything runs; imports no torch."""

import re
from collections.abc import Mapping
from typing import Any

from unclip_pipeline.models.unet_config import UnetConfig

FIRST = "upsampler"
PARTS = {"network", "training"}


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


def _network(name: str, section: Mapping[str, Any]) -> UnetConfig:
    try:
        return UnetConfig(**section)
    except (TypeError, ValueError) as fault:
        raise ValueError(f"{name}: {fault}") from fault
