"""Several processes at one training: what they learn together is what one learns alone."""

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from processes import alone, launched, together
from small_trainings import NAMES, small_training
from taking_part import STEPS, gradients, killed_at, lives, names, normed, taking_part
from unclip_pipeline.training.clip import ClipTraining
from unclip_pipeline.training.distributed import SharedBatchNorm, gathered, join
from unclip_pipeline.training.loop import NonFiniteLossError, own_parts, part_size, resumable, train
from unclip_pipeline.training.optim import TrainConfig
from unclip_pipeline.training.state import TrainingState, checkpoints


def saved(folder: Path, name: str) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(checkpoints(folder / name)[-1] / "state.safetensors")


@pytest.fixture(scope="module")
def by_one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    return alone(tmp_path_factory.mktemp("alone"), gradients, "none")


@pytest.mark.parametrize("sharding", ["none", "fsdp"])
def test_two_processes_have_the_gradient_of_one(sharding, by_one, tmp_path):
    for found in together(tmp_path, gradients, sharding):
        for name in names(sharding):
            largest = max(np.abs(gradient).max() for gradient in by_one[name].values())
            for key, gradient in by_one[name].items():
                assert np.abs(found[name][key] - gradient).max() <= 1e-6 * max(1, largest), (name, key)
                assert np.abs(gradient).max() > 1e-6 or key.endswith("in_proj_bias"), (name, key)


@pytest.mark.parametrize("sharding", ["none", "fsdp"])
def test_two_processes_train_save_and_go_on_as_one(sharding, tmp_path):
    """Muon, AdamW, averages and names are the same; a run goes on with another number of processes."""
    unbroken = alone(tmp_path, lives, tmp_path / "one", "none", 2 * STEPS)
    first, other = together(tmp_path, lives, tmp_path / "two", sharding)
    assert first == other
    rest = alone(tmp_path, lives, tmp_path / "two", "none")
    for name in names(sharding):
        np.testing.assert_allclose(first[name] + rest[name], unbroken[name], rtol=2e-3)
        expected, found = saved(tmp_path / "one", name), saved(tmp_path / "two", name)
        assert found.keys() == expected.keys()
        assert {key.split(".")[0] for key in found} == {"model", "ema", "optimizer"}
        for key, tensor in expected.items():
            if key.startswith("ema."):
                torch.testing.assert_close(found[key], tensor, atol=3e-3, rtol=0, msg=f"{name} {key}")


@pytest.mark.parametrize("sharding", ["none", "fsdp"])
def test_the_main_process_alone_is_given_the_steps_and_comes_out(sharding, tmp_path):
    main, other = together(tmp_path, taking_part, tmp_path / sharding, sharding, "nothing")
    assert main == [8, 16, 24, 32, 40, 48] and other == 0  # which is how it ended
    assert json.loads((tmp_path / sharding / "ended").read_text())[-1] is False
    assert [folder.name for folder in checkpoints(tmp_path / sharding)] == ["000000000016", "000000000032"]


def test_sigterm_to_one_process_saves_and_ends_all(tmp_path):
    assert together(tmp_path, taking_part, tmp_path / "run", "none", "stop") == [0, 0]
    assert checkpoints(tmp_path / "run")[-1].name == f"{24:012d}"
    assert not (tmp_path / "run/ended").exists()


def test_a_loss_that_is_not_finite_in_one_process_stops_all_with_every_uid(tmp_path):
    assert together(tmp_path, taking_part, tmp_path / "run", "none", "poison") == [1, 1]
    written = json.loads((tmp_path / "run/non_finite.json").read_text())
    assert written["images_seen"] == 16 and written["uids"] == [f"uid{row}" for row in range(16, 24)]


def test_shared_batch_norm_is_batch_norm_over_all_rows(tmp_path):
    half = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * 3 + 1
    rows = torch.cat([half, half.flip(2) * 2])
    x, norm = rows.clone().requires_grad_(), nn.BatchNorm2d(3, momentum=0.3)
    (norm(x) * torch.cat([half, half]).sin()).sum().backward()
    (kind, names, first), (_, _, second) = together(tmp_path, normed, rows)
    assert kind == "SharedBatchNorm" and names == [f"0.{name}" for name in norm.state_dict()]
    np.testing.assert_allclose(np.concatenate([first[0], second[0]]), x.grad, atol=1e-5)
    np.testing.assert_allclose(first[1] + second[1], norm.weight.grad, rtol=1e-5)
    for found, expected in zip(first[2:], (norm.running_mean, norm.running_var), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_alone_nothing_is_gathered_shared_or_met(tmp_path):
    join()
    rows = torch.randn(3, 2)
    assert gathered(rows) is rows and not torch.distributed.is_initialized()
    norm = SharedBatchNorm(2)
    torch.testing.assert_close(norm(rows), nn.BatchNorm1d(2)(rows))


def test_a_batch_is_shared_without_gap_or_overlap():
    config = TrainConfig(images=240, batch_size=24, warmup_images=0, micro_batches=6)
    assert part_size(config) == 4 and own_parts(config, 48) == [48, 52, 56, 60, 64, 68]
    shares = []
    for rank in range(3):
        with launched(rank, 3, 0):
            shares += own_parts(config, 48)
    assert shares == [48, 52, 56, 60, 64, 68]


@pytest.mark.parametrize(
    ("wrong", "count"),
    [({"batch_size": 9}, 2), ({"micro_batches": 3, "batch_size": 12}, 2), ({"sharding": "fsdp"}, 1)],
)
def test_what_the_processes_cannot_share_is_refused_by_field(wrong, count):
    config = TrainConfig(**({"images": 48, "batch_size": 12, "warmup_images": 0} | wrong))
    with pytest.raises(ValueError, match=next(iter(wrong))):
        if count == 1:
            TrainingState.start(nn.Linear(2, 2), config, muon=())
        else:
            with launched(0, count, 0):
                TrainingState.start(nn.Linear(2, 2), config, muon=())


@pytest.mark.parametrize("wrong", [{"micro_batches": 3}, {"micro_batches": -1}])
def test_impossible_shares_are_refused_by_field(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainConfig(images=48, batch_size=16, warmup_images=0, **wrong)


@pytest.mark.parametrize("wrong", [{"micro_batches": 2}, {"sharding": "fsdp"}])
def test_clip_is_neither_split_in_turns_nor_sharded(wrong):
    with pytest.raises(ValueError, match=f"train_clip.{next(iter(wrong))}"):
        ClipTraining(images=256, batch_size=128, warmup_images=0, **wrong)


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_training_goes_on_to_the_same_bytes(name, tmp_path):
    """Weights, average, optimizers and curve of the last checkpoint, after a kill at a random step."""
    step = 8 * int(np.random.default_rng().integers(2, 6))
    alone(tmp_path, killed_at, tmp_path / "unbroken", name, 0)
    assert alone(tmp_path, killed_at, tmp_path / "killed", name, step) == -signal.SIGKILL, step
    assert alone(tmp_path, killed_at, tmp_path / "killed", name, 0) is None
    for file in ("state.safetensors", "state.json"):
        unbroken = (tmp_path / "unbroken" / f"{48:012d}" / file).read_bytes()
        assert (tmp_path / "killed" / f"{48:012d}" / file).read_bytes() == unbroken, (file, step)


def test_uids_of_a_loss_that_is_not_finite_are_written_beside_the_checkpoints(tmp_path, caplog):
    state, batches, loss, config = small_training("decoder")

    def poisoned(model: nn.Module, batch: Any, generator: torch.Generator) -> tuple[Tensor, dict]:
        value, metrics = loss(model, batch, generator)
        return value * (torch.nan if "uid8" in batch.uids else 1), metrics

    steps = resumable(state, batches, poisoned, config, seed=1, scratch=tmp_path, identity="a")
    with pytest.raises(NonFiniteLossError, match="images_seen=8.*8 uids: uid8, uid9") as stopped:
        list(steps)
    assert str(tmp_path / "non_finite.json") in stopped.value.__notes__[0]
    written = json.loads((tmp_path / "non_finite.json").read_text())
    assert written["uids"] == [f"uid{row}" for row in range(8, 16)] and np.isnan(written["loss"])


def test_compiled_blocks_leave_names_and_numbers_as_they_are(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda call, **_: call)
    plain, compiled = small_training("prior"), small_training("prior", compile=True)
    assert compiled.state.model.layers[0]._compiled_call_impl is not None
    assert compiled.state.model.state_dict().keys() == plain.state.model.state_dict().keys()
    losses = [
        [step.metrics["loss"] for step in train(t.state, t.batches, t.loss, t.config, seed=1)]
        for t in (plain, compiled)
    ]
    assert losses[0] == losses[1]
