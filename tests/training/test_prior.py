"""What the prior learns from: draws that share a caption, text dropout, the null branch, and decay."""

import pytest
import torch
from torch import nn

from unclip_pipeline.diffusion.process import add_noise, random_steps
from unclip_pipeline.diffusion.schedule import named_schedule
from unclip_pipeline.models.prior import Prior, PriorConfig, Text
from unclip_pipeline.training.optim import make_optimizers, muon_matrices
from unclip_pipeline.training.prior import ADAMW_LAYERS, PriorBatch, PriorTraining, prior_loss

WIDTH = 8
EMPTY = Text(torch.full((1, WIDTH), 9.0))
RUN = {"images": 1000, "batch_size": 4, "warmup_images": 4}


def training(**options) -> PriorTraining:
    return PriorTraining(**RUN | options)


def network() -> Prior:
    torch.manual_seed(0)
    made = Prior(PriorConfig(width=16, layers=2, heads=2), embedding_width=WIDTH)
    nn.init.normal_(made.out.weight, std=0.1)
    made.measure(3 + 2 * torch.randn(50, WIDTH), torch.randn(50, WIDTH))
    return made


def pairs(b: int) -> PriorBatch:
    random = torch.Generator().manual_seed(1)
    image = 3 + 2 * torch.randn(b, WIDTH, generator=random)
    return PriorBatch(image, Text(torch.randn(b, WIDTH, generator=random)), [str(row) for row in range(b)])


class Spy(Prior):
    """Answers the x_t it is given and keeps what it was asked."""

    def forward(self, x_t, t, told):
        self.asked = (x_t, t, told)
        return x_t


def asked(batch: PriorBatch, config: PriorTraining, *, seed: int = 0):
    spy = Spy(PriorConfig(width=16, layers=1, heads=2), embedding_width=WIDTH)
    prior_loss(config, EMPTY, "cosine")(spy, batch, torch.Generator().manual_seed(seed))
    return spy.asked


def test_draws_of_a_caption_lie_together_each_with_a_step_and_noise_of_its_own():
    image = torch.arange(3.0)[:, None].expand(3, WIDTH).contiguous() * 100
    x_t, t, told = asked(PriorBatch(image, Text(torch.randn(3, WIDTH)), list("abc")), training(draws=400))
    assert len(x_t) == len(t) == 1200 and len(told.embedding) == 3
    by_caption = x_t.unflatten(0, (3, 400)).mean((1, 2))
    assert by_caption[0].abs() < 1 and 1.8 < by_caption[2] / by_caption[1] < 2.2
    assert len(t.unique()) > 500 and len(x_t[:, 0].unique()) > 1100


def test_more_draws_leave_the_expected_loss_alone():
    model, batch = network().eval(), pairs(512)
    few, many = (
        prior_loss(training(text_dropout=0.0, draws=draws), EMPTY, "cosine")(
            model, batch, torch.Generator().manual_seed(2)
        )[0].item()
        for draws in (1, 8)
    )
    assert many == pytest.approx(few, rel=0.05)


def test_the_target_is_the_clean_embedding_in_the_standardised_space():
    model, batch = network().eval(), pairs(6)
    value, _ = prior_loss(training(text_dropout=0.0), EMPTY, "cosine")(
        model, batch, torch.Generator().manual_seed(3)
    )
    again = torch.Generator().manual_seed(3)
    torch.rand(6, generator=again)  # who is unknown
    schedule, x_0 = named_schedule("cosine"), (batch.image - model.image_mean) / model.image_std
    t = random_steps(6, schedule, again)
    eps = torch.randn(x_0.shape, generator=again)
    expected = (model(add_noise(x_0, eps, t, schedule), t, batch.text) - x_0).square().mean()
    torch.testing.assert_close(value, expected)


def test_as_many_captions_as_asked_for_are_replaced_by_the_empty_one():
    _, _, told = asked(pairs(20_000), training(text_dropout=0.1))
    unknown = (told.embedding == 9).all(1)
    assert unknown.float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert torch.equal(told.embedding[~unknown], pairs(20_000).text.embedding[~unknown])
    _, _, told = asked(pairs(64), training(text_dropout=0.0))
    assert torch.equal(told.embedding, pairs(64).text.embedding)


def test_the_null_branch_keeps_the_noisy_embedding_of_its_own_row():
    """The rows whose caption is unknown see the very x_t they would have seen with it."""
    batch = pairs(256)
    with_text, _, _ = asked(batch, training(text_dropout=0.0), seed=4)
    without, _, told = asked(batch, training(text_dropout=0.9), seed=4)
    assert (told.embedding == 9).all(1).float().mean() > 0.8
    assert torch.equal(with_text, without)
    model = network().eval()
    null = model.prefix(EMPTY).expanded(2)
    found = model(torch.stack([without[0], without[1]]), torch.tensor([500, 500]), null)
    assert (found[0] - found[1]).abs().max() > 1e-3  # and its estimate depends on it


def test_only_matrices_of_the_prior_decay():
    model = network()
    config = training(weight_decay=0.06)
    optimizers = make_optimizers(model, config, muon=muon_matrices(model, config, exclude=ADAMW_LAYERS))
    names = {parameter: name for name, parameter in model.named_parameters()}
    free = {
        names[parameter]
        for optimizer in optimizers.values()
        for group in optimizer.param_groups
        if group["weight_decay"] == 0
        for parameter in group["params"]
    }
    expected = {name for name in names.values() if "norm" in name or name.endswith("bias")} | {"query"}
    assert free == expected


@pytest.mark.parametrize(
    ("broken", "said"), [({"draws": 0}, "draws"), ({"text_dropout": 1.0}, "text_dropout")]
)
def test_a_broken_training_names_its_field(broken, said):
    with pytest.raises(ValueError, match=said):
        training(**broken)
