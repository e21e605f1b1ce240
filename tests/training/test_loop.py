"""The training loop: exact resume, schedule, averages, and what stops it."""

import math
import os
import signal
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from unclip_pipeline.training.ema import ema_copy, ema_update
from unclip_pipeline.training.loop import NonFiniteLossError, checkpointed, resume, train
from unclip_pipeline.training.optim import (
    Muon,
    TrainConfig,
    hidden_matrices,
    learning_rate_share,
    make_optimizers,
    orthogonalised,
)
from unclip_pipeline.training.state import CheckpointError, TrainingState, checkpoints

CONFIG = TrainConfig(images=160, batch_size=16, warmup_images=32, checkpoint_images=48)


class Points(NamedTuple):
    x: Tensor
    uids: list[str]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.SiLU(),
        nn.Dropout(0.2),
        nn.Flatten(),
        nn.Linear(128, 3),
    )


def batches(position: int) -> Points:
    x = torch.randn(16, 3, 4, 4, generator=torch.Generator().manual_seed(position))
    return Points(x, [f"uid{position}"])


def regression(model: nn.Module, batch: Points, generator: torch.Generator) -> tuple[Tensor, dict]:
    noise = torch.randn(batch.x.shape, generator=generator)
    return (model(batch.x + noise) - batch.x.mean(dim=(2, 3))).square().mean(), {}


def new_state(config: TrainConfig = CONFIG) -> TrainingState:
    model = network()
    return TrainingState.start(model, config, muon=hidden_matrices(model, exclude=["5.*"]))


def everything(state: TrainingState) -> dict[str, Tensor]:
    return state._tensors()


def test_resumed_run_is_bit_identical_to_the_unbroken_one(tmp_path):
    unbroken = new_state()
    losses = [step.metrics["loss"] for step in train(unbroken, batches, regression, CONFIG, seed=1)]

    stopped = new_state()
    steps = checkpointed(
        train(stopped, batches, regression, CONFIG, seed=1), stopped, tmp_path, CONFIG, identity="a"
    )
    for step in steps:
        if step.images_seen == 112:  # killed between two checkpoints
            break
    resumed = new_state()
    assert resume(resumed, tmp_path, identity="a")
    assert resumed.images_seen == 96
    rest = [step.metrics["loss"] for step in train(resumed, batches, regression, CONFIG, seed=1)]

    assert rest == losses[6:]
    for name, tensor in everything(unbroken).items():
        assert torch.equal(tensor, everything(resumed)[name]), name
    assert resumed.history.table().equals(unbroken.history.table())
    assert resumed.history.table()["loss"].tolist() == losses


def test_sigterm_saves_the_step_under_way_and_exits_with_zero(tmp_path, caplog):
    unbroken = new_state()
    losses = [step.metrics["loss"] for step in train(unbroken, batches, regression, CONFIG, seed=1)]

    def told_to_stop(position: int) -> Points:
        if position == 64:
            os.kill(os.getpid(), signal.SIGTERM)
        return batches(position)

    before, stopped = signal.getsignal(signal.SIGTERM), new_state()
    steps = train(stopped, told_to_stop, regression, CONFIG, seed=1)
    with pytest.raises(SystemExit) as ended:
        list(checkpointed(steps, stopped, tmp_path, CONFIG, identity="a"))
    assert ended.value.code == 0 and "saved at 80 of 160 images" in caplog.text
    assert signal.getsignal(signal.SIGTERM) is before
    resumed = new_state()
    assert resume(resumed, tmp_path, identity="a") and resumed.images_seen == 80
    rest = [step.metrics["loss"] for step in train(resumed, batches, regression, CONFIG, seed=1)]
    assert rest == losses[5:]


def test_global_generator_is_left_as_it_was():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    next(train(new_state_keeping_rng(), batches, regression, CONFIG, seed=1))
    assert torch.equal(before, torch.get_rng_state())


def new_state_keeping_rng() -> TrainingState:
    with torch.random.fork_rng():
        return new_state()


DAMAGE = {
    "cut short": ("state.safetensors", lambda data: data[:-10]),
    "one bit of a weight": ("state.safetensors", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    "another position": (
        "state.json",
        lambda data: data.replace(b'"images_seen": 144', b'"images_seen": 128'),
    ),
    "a prettier curve": ("state.json", lambda data: data.replace(b'"loss": ', b'"loss": 0')),
    "no record": ("state.json", lambda data: b"[]"),
    "no text": ("state.json", lambda data: b"\xff\xfe"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_checkpoint_is_passed_over_for_the_one_before(damage, tmp_path, caplog):
    state, (file, harm) = new_state(), DAMAGE[damage]
    for state.images_seen in (96, 144):
        state.history.add(state.images_seen, {"loss": 0.5})
        state.save(tmp_path, identity="a")
    older, newest = checkpoints(tmp_path)
    whole = (newest / file).read_bytes()
    (newest / file).write_bytes(harm(whole))
    assert (newest / file).read_bytes() != whole
    again = new_state()
    assert resume(again, tmp_path, identity="a")
    assert f"{again.images_seen:012d}" == older.name
    assert str(newest) in caplog.text


def test_checkpoint_of_another_run_is_refused(tmp_path):
    state = new_state()
    saved = state.save(tmp_path, identity="seed 1")
    with pytest.raises(CheckpointError, match="another run"):
        new_state().restore(saved, identity="seed 2")
    assert not resume(new_state(), tmp_path, identity="seed 2")


def test_non_finite_loss_names_position_and_uids_and_keeps_the_weights():
    def poisoned(model, batch, generator):
        value, metrics = regression(model, batch, generator)
        return value * (float("nan") if batch.uids == ["uid32"] else 1.0), metrics

    state = new_state()
    with pytest.raises(NonFiniteLossError, match="images_seen=32.*uid32"):
        list(train(state, batches, poisoned, CONFIG, seed=1))
    assert state.images_seen == 32
    assert all(tensor.isfinite().all() for tensor in state.model.state_dict().values())


def test_learning_rate_warms_up_linearly_and_ends_near_zero():
    config = TrainConfig(images=1_000, batch_size=10, warmup_images=100)
    shares = [learning_rate_share(seen, config) for seen in range(0, 1_000, 10)]
    assert shares[0] == pytest.approx(0.1) and shares[9] == pytest.approx(1.0)
    assert max(shares) == pytest.approx(1.0) and shares[-1] < 1e-3
    assert learning_rate_share(550, config) == pytest.approx(0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 16, 40), (2, 40, 16)])
def test_orthogonalised_update_has_singular_values_near_one(shape, dtype):
    matrices = torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    values = torch.linalg.svdvals(orthogonalised(matrices).float())
    assert values.min() > 0.5 and values.max() < 1.3


def test_muon_agrees_with_the_reference_on_matrices():
    torch.manual_seed(0)
    own, reference = nn.Linear(12, 30, bias=False), nn.Linear(12, 30, bias=False)
    reference.load_state_dict(own.state_dict())
    start = own.weight.detach().clone()
    ours = Muon(own.parameters(), lr=0.02)
    theirs = torch.optim.Muon(reference.parameters(), lr=0.02, weight_decay=0.0)
    for _ in range(5):
        gradient = torch.randn(30, 12)
        own.weight.grad, reference.weight.grad = gradient, gradient.clone()
        ours.step(), theirs.step()
    moved, expected = own.weight - start, reference.weight - start
    assert (moved - expected).norm() / expected.norm() < 0.02  # the reference rounds to bfloat16


def test_muon_takes_convolutions_as_matrices_and_batches_equal_shapes():
    torch.manual_seed(0)
    convs = [nn.Conv2d(4, 8, 3, bias=False) for _ in range(2)]
    flat = [nn.Parameter(conv.weight.detach().flatten(1).clone()) for conv in convs]
    together = Muon([conv.weight for conv in convs], lr=0.1)
    alone = [Muon([matrix], lr=0.1) for matrix in flat]
    for conv, matrix in zip(convs, flat, strict=True):
        conv.weight.grad = torch.randn_like(conv.weight)
        matrix.grad = conv.weight.grad.flatten(1)
    together.step()
    for optimizer in alone:
        optimizer.step()
    for conv, matrix in zip(convs, flat, strict=True):
        torch.testing.assert_close(conv.weight.flatten(1), matrix)


def test_every_parameter_has_exactly_one_optimizer():
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    muon = hidden_matrices(model, exclude=["3.*"])
    assert muon == {"1.weight"}
    optimizers = make_optimizers(model, CONFIG, muon=muon)
    owned = [p for o in optimizers.values() for group in o.param_groups for p in group["params"]]
    assert len(owned) == len({id(p) for p in owned}) == len(list(model.parameters()))


def test_average_moves_by_one_minus_decay_and_copies_buffers():
    model = nn.BatchNorm1d(2)
    average = ema_copy(model)
    with torch.no_grad():
        model.weight.fill_(3.0)
        model.running_mean.fill_(7.0)
    ema_update(average, model, 0.75)
    assert average.weight.tolist() == [1.5, 1.5]
    assert average.running_mean.tolist() == [7.0, 7.0]


@pytest.mark.parametrize(
    "wrong", [{"images": 8}, {"learning_rate": 0.0}, {"ema_decay": 1.0}, {"warmup_images": 500}]
)
def test_impossible_configuration_is_refused_by_field(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainConfig(**({"images": 160, "batch_size": 16, "warmup_images": 32} | wrong))


def test_loss_falls_on_a_learnable_task():
    config = TrainConfig(images=3_200, batch_size=16, warmup_images=160, ema_decay=0.9)
    state = new_state(config)
    losses = [step.metrics["loss"] for step in train(state, batches, regression, config, seed=1)]
    assert math.fsum(losses[-20:]) < 0.8 * math.fsum(losses[:20])
