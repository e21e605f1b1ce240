"""Closed forms: for Gaussian data the optimal denoiser is known, so every sampler has a right answer."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unclip_pipeline.diffusion.guidance import clipped, dynamically_clipped, guided
from unclip_pipeline.diffusion.process import (
    Denoised,
    add_noise,
    eps_of,
    like,
    min_snr_weight,
    posterior,
    random_steps,
    target_of,
    x_0_of,
)
from unclip_pipeline.diffusion.samplers import ddim, ddim_inverted, ddpm, dpm_solver_pp_2m
from unclip_pipeline.diffusion.schedule import cosine_schedule, linear_schedule, sampling_steps

SCHEDULES = {"cosine": cosine_schedule(), "linear": linear_schedule()}
MEAN, STD = 0.7, 0.4


def optimal(mean: float, std: float, schedule):
    """E[x_0 | x_t] for x_0 ~ N(mean, std^2)."""

    def denoise(x_t, t):
        alpha, sigma = like(schedule.alpha(t), x_t), like(schedule.sigma(t), x_t)
        gain = alpha * std**2 / (alpha**2 * std**2 + sigma**2)
        return Denoised(mean + gain * (x_t - alpha * mean))

    return denoise


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize(
    "sample",
    [
        lambda d, x, steps, s: ddim(d, x, steps, s),
        lambda d, x, steps, s: ddim(d, x, steps, s, eta=1.0, noise=lambda k: normal(*x.shape, seed=k + 1)),
        lambda d, x, steps, s: ddpm(d, x, steps, s, noise=lambda k: normal(*x.shape, seed=k + 1)),
        lambda d, x, steps, s: dpm_solver_pp_2m(d, x, steps, s),
    ],
    ids=["ddim", "ddim_eta1", "ddpm", "dpm_solver_pp_2m"],
)
def test_samplers_turn_noise_into_the_gaussian_the_denoiser_knows(sample, schedule):
    x = sample(optimal(MEAN, STD, schedule), normal(8_000, 1), sampling_steps(schedule, 150), schedule)
    assert x.mean().item() == pytest.approx(MEAN, abs=0.012)
    assert x.std().item() == pytest.approx(STD, abs=0.02)


def test_second_order_solver_needs_fewer_steps_than_ddim():
    schedule = SCHEDULES["linear"]
    x = normal(4_000, 1)

    def error(sample) -> float:
        return abs(
            sample(optimal(MEAN, STD, schedule), x, sampling_steps(schedule, 20), schedule).std().item() - STD
        )

    assert error(dpm_solver_pp_2m) < 0.5 * error(ddim)


def test_ddim_keeps_a_unit_gaussian():
    schedule = SCHEDULES["cosine"]
    x = normal(100, 3)
    kept = ddim(optimal(0.0, 1.0, schedule), x, sampling_steps(schedule, 1000), schedule)
    torch.testing.assert_close(kept, x, atol=0.01, rtol=0.01)


def test_ddim_inversion_leads_back():
    schedule = SCHEDULES["cosine"]
    data = MEAN + STD * normal(50, 2)
    steps, denoise = sampling_steps(schedule, 500), optimal(MEAN, STD, schedule)
    back = ddim(denoise, ddim_inverted(denoise, data, steps, schedule), steps, schedule)
    torch.testing.assert_close(back, data, atol=0.02, rtol=0.02)


@given(t=st.integers(0, 990), target=st.sampled_from(["x0", "eps", "v"]), seed=st.integers(0, 99))
def test_targets_give_back_x_0_and_noise(t, target, seed):
    schedule = SCHEDULES["cosine"]
    x_0, eps = normal(4, 3, seed=seed), normal(4, 3, seed=seed + 100)
    steps = torch.full((4,), t)
    x_t = add_noise(x_0, eps, steps, schedule)
    recovered = x_0_of(target, target_of(target, x_0, eps, steps, schedule), x_t, steps, schedule)
    torch.testing.assert_close(recovered, x_0, atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(eps_of(x_0, x_t, steps, schedule), eps, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_noise_then_posterior_has_the_earlier_step_marginal(schedule):
    """Drawing x_t ~ q(.|x_0), then x_s ~ q(.|x_t, x_0), must give q(x_s | x_0)."""
    t, s = torch.tensor([600]), torch.tensor([350])
    step = posterior(torch.zeros(1, 1), torch.ones(1, 1), t, s, schedule)
    through_x_t = step.mean.item() ** 2 * (1 - schedule.at(t)) + step.variance
    torch.testing.assert_close(through_x_t, 1 - schedule.at(s), atol=1e-5, rtol=1e-4)
    from_x_0 = posterior(torch.ones(1, 1), schedule.alpha(t)[:, None], t, s, schedule).mean
    torch.testing.assert_close(from_x_0[:, 0], schedule.alpha(s), atol=1e-5, rtol=1e-4)


def test_schedules_agree_with_their_published_ends():
    cosine, linear = SCHEDULES["cosine"].alpha_bar, SCHEDULES["linear"].alpha_bar
    assert cosine[-1].item() == pytest.approx(2.4e-9, rel=0.05)
    assert linear[-1].item() == pytest.approx(4.04e-5, rel=0.02)
    assert (cosine.diff() < 0).all() and (linear.diff() < 0).all()


def test_sampling_steps_start_at_the_noisiest_and_stay_inside():
    steps = sampling_steps(SCHEDULES["cosine"], 8)
    assert steps[0] == 999 and steps[-1] == 124 and (steps.diff() < 0).all()
    assert sampling_steps(SCHEDULES["cosine"], 1000)[-1] == 0
    with pytest.raises(ValueError, match="1..1000"):
        sampling_steps(SCHEDULES["cosine"], 0)


def test_guidance_at_scale_one_is_the_conditional_model():
    conditional = lambda x, t: Denoised(x + 1)  # noqa: E731
    assert guided(conditional, conditional, 1.0) is conditional


def test_guidance_extrapolates_x_0_and_never_the_variance():
    conditional = lambda x, t: Denoised(torch.full_like(x, 2.0), torch.full_like(x, 0.3))  # noqa: E731
    unconditional = lambda x, t: Denoised(torch.full_like(x, 1.0), torch.full_like(x, -0.9))  # noqa: E731
    said = guided(conditional, unconditional, 3.0)(torch.zeros(1, 1), torch.zeros(1, dtype=torch.long))
    assert said.x_0.item() == pytest.approx(4.0)
    assert said.variance_share.item() == pytest.approx(0.3)


def test_learned_variance_moves_between_posterior_and_forward_noise():
    schedule, x = SCHEDULES["cosine"], torch.zeros(20_000, 1)
    steps = torch.tensor([600, 350])
    t, s = steps[:1], steps[1:]

    def spread(share: float) -> float:
        denoise = lambda x, t: Denoised(torch.zeros_like(x), torch.full_like(x, share))  # noqa: E731
        last = []

        def remember(x, t):
            last.append(x)
            return denoise(x, t)

        ddpm(remember, x, steps, schedule, noise=lambda k: normal(*x.shape, seed=9))
        return last[1].var().item()

    assert spread(-1.0) == pytest.approx(posterior(x[:1], x[:1], t, s, schedule).variance.item(), rel=0.03)
    assert spread(1.0) == pytest.approx((1 - schedule.at(t) / schedule.at(s)).item(), rel=0.03)


def test_thresholding_bounds_x_0():
    wild = lambda x, t: Denoised(torch.tensor([[-4.0, 2.0, 0.5], [0.1, 0.2, 0.3]]))  # noqa: E731
    x, t = torch.zeros(2, 3), torch.zeros(2, dtype=torch.long)
    assert clipped(wild)(x, t).x_0.tolist()[0] == [-1.0, 1.0, 0.5]
    squeezed = dynamically_clipped(wild, quantile=1.0)(x, t).x_0
    torch.testing.assert_close(squeezed, torch.tensor([[-1.0, 0.5, 0.125], [0.1, 0.2, 0.3]]))


def test_min_snr_weights_bound_the_error_in_x_0():
    """Each target's weight times its error's factor on x_0's error must be min(snr, gamma)."""
    schedule, t = SCHEDULES["cosine"], torch.tensor([10, 300, 900])
    snr = schedule.snr(t)
    expected = snr.clamp(max=5.0)
    factors = {"x0": torch.ones(3), "eps": snr, "v": snr + 1}
    for target, factor in factors.items():
        torch.testing.assert_close(min_snr_weight(t, schedule, target=target) * factor, expected)


def test_training_steps_cover_the_schedule_in_every_batch():
    steps = random_steps(100, SCHEDULES["cosine"], torch.Generator().manual_seed(0))
    assert sorted((steps // 10).tolist()) == list(range(100))
