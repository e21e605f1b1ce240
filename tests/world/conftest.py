"""A small world, planned once for all tests that only read it."""

import socket

import pytest

from unclip_pipeline.world.plan import Entry, plan_world
from unclip_pipeline.world.scenes import WorldConfig


def free_port() -> int:
    """Find a port that is free on loopback now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def small_world() -> WorldConfig:
    return WorldConfig(
        images=700, side_px=32, port=free_port(), hosts=2, shapes=4, colours=4, sizes=1, backgrounds=3,
        styles=1, occupations=2, groups=2, heldout_colour_pairs=3, heldout_background_pairs=1,
        heldout_combination_rows=50, heldout_seen_rows=40, repeated_row_share=0.02,
    )  # fmt: skip


@pytest.fixture(scope="session")
def entries(small_world: WorldConfig) -> list[Entry]:
    return plan_world(small_world, 0)
