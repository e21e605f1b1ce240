from pathlib import Path

import pytest
import torch

from unclip_pipeline.weights import Weights, load_weights, save_weights, weights_digest


def test_weights_come_back_as_they_were(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4), "b": torch.arange(5), "half": torch.randn(2).half()}
    save_weights(Weights(tensors, {"kind": "prior", "images_seen": 7}), tmp_path / "prior")
    loaded = load_weights(tmp_path / "prior")
    assert loaded.config == {"kind": "prior", "images_seen": 7}
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in tensors.items())
    assert weights_digest(loaded.tensors) == weights_digest(tensors)


def test_a_digest_sees_one_bit_a_name_and_a_shape() -> None:
    base = {"a": torch.zeros(2, 3)}
    digests = [
        weights_digest(tensors)
        for tensors in (
            base,
            {"a": torch.zeros(3, 2)},
            {"b": torch.zeros(2, 3)},
            {"a": torch.full((2, 3), -0.0)},
        )
    ]
    assert len(set(digests)) == 4


def test_missing_weights_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run the pipeline that trains them"):
        load_weights(tmp_path / "none")
