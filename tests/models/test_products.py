"""Kernels for CPUs: the same sums as torch's own, forwards and backwards."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from networks import noise
from unclip_pipeline.models import products
from unclip_pipeline.models.products import Linear, at_each_pixel, conv_of_doubled, doubled, linear

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def close(ours, theirs, *inputs):
    """Equal answers, and equal gradients of every input."""
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    weights = noise(*theirs.shape, seed=9)
    gradients = [torch.autograd.grad((answer * weights).sum(), inputs) for answer in (ours, theirs)]
    for mine, other in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", [(512,), (4, 96), (2, 8, 16), (300,), (7,), (0,)], ids=str)
def test_linear_map_is_torchs_whatever_the_rows(shape):
    x, weight, bias = noise(*shape, 12), noise(20, 12, seed=1), noise(20, seed=2)
    inputs = [tensor.requires_grad_() for tensor in (x, weight, bias)]
    close(linear(*inputs), F.linear(*inputs), *inputs)
    assert torch.equal(linear(x, weight).detach(), linear(x.detach(), weight.detach()))


def test_many_rows_do_go_as_a_convolution(monkeypatch):
    asked = []
    conv2d = F.conv2d
    monkeypatch.setattr(products.F, "conv2d", lambda *args: asked.append(args[0].shape) or conv2d(*args))
    Linear(12, 20)(noise(2, 256, 12))
    assert asked == [(products.STRIPS, 12, 2 * 256 // products.STRIPS, 1)]
    with torch.autocast("cpu", torch.bfloat16):
        assert Linear(12, 20)(noise(2, 256, 12)).dtype == torch.bfloat16
    assert len(asked) == 1


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_one_tap_is_a_linear_map_at_each_pixel(layout):
    conv = nn.Conv2d(12, 20, 1)
    x = noise(2, 12, 16, 16).contiguous(memory_format=layout).requires_grad_()
    close(at_each_pixel(x, conv), conv(x), x, conv.weight, conv.bias)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("side_px", [4, 32])
def test_convolution_of_a_doubled_picture_needs_no_doubled_picture(side_px, layout):
    conv = nn.Conv2d(6, 10, 3, padding=1)
    x = noise(1, 6, side_px, side_px).contiguous(memory_format=layout).requires_grad_()
    assert (x[0, 0].numel() >= products.MANY_PIXELS) == (side_px == 32)
    close(conv_of_doubled(x, conv), conv(doubled(x)), x, conv.weight, conv.bias)
