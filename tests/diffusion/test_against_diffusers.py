"""Our samplers and diffusers' schedulers, step for step on the same network."""

import pytest
import torch

from networks import noise
from unclip_pipeline.diffusion.process import Denoised, add_noise, target_of, x_0_of
from unclip_pipeline.diffusion.samplers import ddim, ddpm, dpm_solver_pp_2m
from unclip_pipeline.diffusion.schedule import cosine_schedule, linear_schedule, sampling_steps

pytest.importorskip("diffusers")
from unclip_pipeline.export import diffusers_guard  # noqa: E402

STEPS = 20
BETAS = {"squaredcos_cap_v2": cosine_schedule, "linear": linear_schedule}


def network(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Any function of picture and step, within -1..1."""
    return torch.tanh(x.roll(1, -1) * (1 + t.view(-1, 1, 1, 1) / 1000))


def scheduled(scheduler, x: torch.Tensor, **options) -> torch.Tensor:
    scheduler.set_timesteps(STEPS)
    for t in scheduler.timesteps:
        x = scheduler.step(network(x, t[None].expand(len(x))), t, x, **options).prev_sample
    return x


@pytest.mark.parametrize("betas", BETAS)
def test_ddim_is_diffusers_ddim(betas):
    scheduler = diffusers_guard.DDIMScheduler(
        beta_schedule=betas, prediction_type="sample", clip_sample=False, timestep_spacing="trailing"
    )
    schedule, start = BETAS[betas](), noise(2, 3, 4, 4)
    ours = ddim(lambda x, t: Denoised(network(x, t)), start, sampling_steps(schedule, STEPS), schedule)
    torch.testing.assert_close(ours, scheduled(scheduler, start), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("betas", BETAS)
def test_dpm_solver_is_diffusers_dpm_solver(betas):
    scheduler = diffusers_guard.DPMSolverMultistepScheduler(
        beta_schedule=betas, prediction_type="sample", timestep_spacing="trailing", final_sigmas_type="zero",
        lower_order_final=True,
    )  # fmt: skip
    schedule, start = BETAS[betas](), noise(2, 3, 4, 4)
    ours = dpm_solver_pp_2m(
        lambda x, t: Denoised(network(x, t)), start, sampling_steps(schedule, STEPS), schedule
    )
    torch.testing.assert_close(ours, scheduled(scheduler, start), atol=1e-5, rtol=1e-4)


def test_ancestral_sampling_is_that_of_unclip(monkeypatch):
    drawn = [noise(2, 3, 4, 4, seed=seed) for seed in range(STEPS)]
    scheduler = diffusers_guard.UnCLIPScheduler(prediction_type="sample", clip_sample=False)
    # its own products of 1,000 float32 factors lose three digits where hardly any signal is left
    torch.testing.assert_close(scheduler.alphas_cumprod, cosine_schedule().alpha_bar, atol=1e-6, rtol=1e-3)
    scheduler.alphas_cumprod = cosine_schedule().alpha_bar.double()
    before = torch.cat([torch.ones(1, dtype=torch.float64), scheduler.alphas_cumprod[:-1]])
    scheduler.alphas = scheduler.alphas_cumprod / before
    scheduler.betas = 1 - scheduler.alphas
    scheduler.set_timesteps(STEPS)
    steps = scheduler.timesteps
    upcoming = iter(drawn)
    monkeypatch.setattr(
        "diffusers.schedulers.scheduling_unclip.randn_tensor", lambda *_, **__: next(upcoming)
    )
    theirs = start = noise(2, 3, 4, 4)
    for t, earlier in zip(steps, [*steps[1:], None], strict=True):
        theirs = scheduler.step(
            network(theirs, t[None].expand(2)), t, theirs, prev_timestep=earlier
        ).prev_sample
    schedule = cosine_schedule()
    ours = ddpm(lambda x, t: Denoised(network(x, t)), start, steps.long(), schedule, noise=lambda k: drawn[k])
    torch.testing.assert_close(ours, theirs.float(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("target", ["x0", "eps", "v"])
def test_targets_are_those_of_diffusers(target):
    names = {"x0": "sample", "eps": "epsilon", "v": "v_prediction"}
    scheduler = diffusers_guard.DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type=names[target], clip_sample=False
    )
    x_0, eps, t, schedule = (
        noise(4, 3, 4, 4),
        noise(4, 3, 4, 4, seed=1),
        torch.tensor([0, 9, 500, 900]),
        cosine_schedule(),
    )
    x_t = add_noise(x_0, eps, t, schedule)
    torch.testing.assert_close(x_t, scheduler.add_noise(x_0, eps, t), atol=1e-5, rtol=1e-5)
    said = target_of(target, x_0, eps, t, schedule)
    for row in range(4):
        scheduler.set_timesteps(1000)
        theirs = scheduler.step(said[row], int(t[row]), x_t[row]).pred_original_sample
        ours = x_0_of(target, said[row : row + 1], x_t[row : row + 1], t[row : row + 1], schedule)[0]
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
