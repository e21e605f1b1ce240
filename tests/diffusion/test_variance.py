"""The learned variance and its loss, against closed forms."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from networks import noise
from unclip_pipeline.diffusion.process import add_noise
from unclip_pipeline.diffusion.schedule import cosine_schedule
from unclip_pipeline.diffusion.variance import (
    log_variance_of,
    normal_divergence,
    pixel_log_likelihood,
    variational_bound,
)

SCHEDULE = cosine_schedule()


def test_divergence_is_that_of_torch():
    mean, log_variance, other_mean, other = (noise(3, 4, seed=seed) for seed in range(4))
    expected = kl_divergence(
        Normal(mean, (0.5 * log_variance).exp()), Normal(other_mean, (0.5 * other).exp())
    )
    torch.testing.assert_close(normal_divergence(mean, log_variance, other_mean, other), expected)


def test_probabilities_of_all_levels_add_up_to_one():
    levels = torch.arange(256) / 127.5 - 1
    for deviation in (0.003, 0.1, 2.0):
        log_probability = pixel_log_likelihood(
            levels[None], torch.full((1, 256), 0.3), torch.full((1, 256), math.log(deviation))
        )
        assert log_probability.exp().sum() == pytest.approx(1, abs=1e-4)


def test_perfect_estimate_with_the_posterior_variance_costs_nothing():
    t = torch.tensor([1, 10, 500, 999])
    x_0 = noise(4, 3, 8, 8).clamp(-1, 1)
    x_t = add_noise(x_0, noise(4, 3, 8, 8, seed=1), t, SCHEDULE)
    bound = variational_bound(x_0, x_t, x_0, -torch.ones_like(x_0), t, SCHEDULE)
    torch.testing.assert_close(bound, torch.zeros(4), atol=1e-5, rtol=0)
    wider = variational_bound(x_0, x_t, x_0, torch.ones_like(x_0), t, SCHEDULE)
    assert (wider[:2] > 1e-4).all()


def test_share_goes_from_the_posterior_variance_to_beta():
    t = torch.tensor([2, 700])
    ends = [log_variance_of(torch.full((2, 1), share), t, t - 1, SCHEDULE).exp() for share in (-1.0, 1.0)]
    beta = 1 - SCHEDULE.at(t) / SCHEDULE.at(t - 1)
    posterior = beta * (1 - SCHEDULE.at(t - 1)) / (1 - SCHEDULE.at(t))
    torch.testing.assert_close(ends[0][:, 0], posterior, rtol=1e-3, atol=0)
    torch.testing.assert_close(ends[1][:, 0], beta, rtol=1e-3, atol=0)


def test_bound_teaches_a_variance_that_grows_with_the_error():
    """The best variance of a wrong mean is the posterior's plus the squared error: share must rise."""
    t = torch.full((64,), 20)
    x_0 = noise(64, 1, 4, 4).clamp(-1, 1)
    x_t = add_noise(x_0, noise(64, 1, 4, 4, seed=1), t, SCHEDULE)
    share = torch.full_like(x_0, -0.9, requires_grad=True)
    variational_bound(x_0, x_t, x_0 + 0.5 * noise(64, 1, 4, 4, seed=2), share, t, SCHEDULE).sum().backward()
    assert share.grad.sum() < 0, "descending raises the share"


def test_bound_is_finite_at_every_step_even_for_a_bad_estimate():
    t = torch.arange(1000)
    x_0 = noise(1000, 3).clamp(-1, 1)
    x_t = add_noise(x_0, noise(1000, 3, seed=1), t, SCHEDULE)
    for share in (-1.0, 0.0, 1.0):
        bound = variational_bound(x_0, x_t, noise(1000, 3, seed=2), torch.full_like(x_0, share), t, SCHEDULE)
        assert bound.isfinite().all()
