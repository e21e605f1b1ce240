"""Pictures drawn square by square: the same as whole ones where a network looks no further than its overlap."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from networks import awake, noise
from unclip_pipeline.diffusion.process import Denoised, Denoiser
from unclip_pipeline.models.unet import Unet
from unclip_pipeline.models.unet_config import UnetConfig
from unclip_pipeline.seeds import seeded
from unclip_pipeline.training.cascade import check_tiles
from unclip_pipeline.unclip import Enlarging, draw_large
from unclip_pipeline.unclip.tiling import Square, spans_of, tiled

PLAIN = dict(channels=(8, 8), attention=(False, False), head_width=8, residual_scale=0.2, target="v")


def local_operator(reach_px: int) -> Denoiser:
    """Each pixel from those around it, zeros beyond the rim: a convolution with random taps."""
    taps = noise(3, 3, 2 * reach_px + 1, 2 * reach_px + 1)
    return lambda x_t, t: Denoised(F.conv2d(x_t, taps, padding=reach_px).sin())


def unet(side_px: int, **changes: object) -> Unet:
    return awake(Unet(UnetConfig(**{**PLAIN, "side_px": side_px, "low_side_px": side_px // 2, **changes})))


def enlarged_small(network: Unet, how: Enlarging, count: int = 1) -> torch.Tensor:
    side_px = network.config.low_side_px
    small = torch.randint(0, 256, (count, 3, side_px, side_px), generator=torch.Generator().manual_seed(0))
    keys = [seeded(0, "tiles", row) for row in range(count)]
    return draw_large(network, small.to(torch.uint8), None, keys, how).int()


@pytest.mark.parametrize(
    ("side_px", "tile_px", "overlap_px"), [(64, 24, 8), (64, 32, 12), (40, 32, 16), (64, 64, 8)]
)
def test_a_local_operator_gives_exactly_the_untiled_estimate(side_px, tile_px, overlap_px):
    x_t, t = noise(2, 3, side_px, side_px), torch.zeros(2, dtype=torch.long)
    operator = local_operator(overlap_px // 4)
    ours = tiled(lambda _: operator, side_px=side_px, tile_px=tile_px, overlap_px=overlap_px)(x_t, t).x_0
    torch.testing.assert_close(ours, operator(x_t, t).x_0, atol=2e-6, rtol=0)


def test_an_operator_that_looks_beyond_the_overlap_does_not():
    x_t, t = noise(1, 3, 64, 64), torch.zeros(1, dtype=torch.long)
    operator = local_operator(6)
    ours = tiled(lambda _: operator, side_px=64, tile_px=24, overlap_px=8)(x_t, t).x_0
    assert (ours - operator(x_t, t).x_0).abs().max() > 0.01


@pytest.mark.parametrize(("side_px", "tile_px", "overlap_px"), [(64, 24, 8), (96, 40, 16), (50, 20, 0)])
def test_squares_cover_every_pixel_and_count_nothing_at_their_cut_rims(side_px, tile_px, overlap_px):
    spans, weights = spans_of(side_px, tile_px, overlap_px)
    torch.testing.assert_close(weights.sum(0), torch.ones(side_px).double())
    for span, row in zip(spans, weights, strict=True):
        assert row[: span.start].eq(0).all() and row[span.stop :].eq(0).all()
        if span.start > 0:
            assert row[span.start : span.start + overlap_px // 4].eq(0).all()
        if span.stop < side_px:
            assert row[span.stop - overlap_px // 4 : span.stop].eq(0).all()
    assert weights[0, 0] == weights[-1, -1] == 1


@pytest.mark.parametrize("unshuffle", [1, 2])
def test_a_network_without_norms_draws_the_same_picture_in_squares_at_every_step(unshuffle):
    """Its reach is below 40 places of its own, each of `unshuffle` pixels."""
    network = unet(192 * unshuffle, unshuffle=unshuffle)
    for block in network._blocks():
        block.norm1, block.norm2 = nn.Identity(), nn.Identity()
    network.norm_out = nn.Identity()
    whole = enlarged_small(network, Enlarging(steps=3))
    how = Enlarging(steps=3, tile_px=176 * unshuffle, tile_overlap_px=160 * unshuffle)
    assert (whole - enlarged_small(network, how)).abs().max() <= 1
    assert (whole - whole.flip(-1)).abs().max() > 20


def test_norms_see_one_square_and_change_the_picture_little():
    network = unet(64)
    whole, squares = (enlarged_small(network, Enlarging(tile_px=tile_px)) for tile_px in (0, 48))
    assert 0 < (whole - squares).abs().float().mean() < 4


def test_a_tile_as_large_as_the_picture_changes_nothing():
    network = unet(32)
    assert torch.equal(enlarged_small(network, Enlarging()), enlarged_small(network, Enlarging(tile_px=32)))


def test_a_batch_in_squares_equals_its_single_pictures():
    network, how = unet(32), Enlarging(tile_px=16, tile_overlap_px=8, eta=1.0)
    together = enlarged_small(network, how, count=3)
    assert (together[:1] - enlarged_small(network, how, count=1)).abs().max() <= 1


def test_no_layer_ever_holds_more_than_a_square():
    """Memory is that of the tile, whatever the size of the picture."""
    most: dict[int, int] = {}
    for side_px in (64, 128):
        network, held = unet(side_px), []
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(lambda *said, held=held: held.append(said[2].numel()))
        enlarged_small(network, Enlarging(steps=1, tile_px=32, tile_overlap_px=8))
        most[side_px] = max(held)
    assert most[64] == most[128] == 8 * 32 * 32


def test_squares_lie_where_the_network_folds_whole_pixels():
    seen: list[Square] = []

    def of_square(square: Square) -> Denoiser:
        seen.append(square)
        return local_operator(1)

    tiled(of_square, side_px=64, tile_px=24, overlap_px=8)
    starts = [(square.rows.start, square.columns.start) for square in seen]
    assert starts == [(top, left) for top in (0, 16, 32, 40) for left in (0, 16, 32, 40)]


@pytest.mark.parametrize(
    ("changes", "tile_px", "overlap_px", "said"),
    [
        ({"attention": (False, True)}, 32, 8, r"sampling\.tile_px .*upsampler\.attention=\(False, True\)"),
        ({}, 33, 8, r"multiples of 2, .*tile_px=33"),
        ({}, 32, 32, r"sampling\.tile_overlap_px .*overlap_px=32"),
    ],
)
def test_squares_that_cannot_be_shown_are_refused_by_the_fields_names(changes, tile_px, overlap_px, said):
    with pytest.raises(ValueError, match=said):
        check_tiles(tile_px, overlap_px, {"upsampler": unet(64, **changes).config})


def test_pictures_no_larger_than_a_tile_may_have_attention():
    check_tiles(64, 8, {"upsampler": unet(64, attention=(False, True)).config})
