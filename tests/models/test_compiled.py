"""Networks as a compiler sees them, and in bfloat16."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import one_graph


def test_every_network_is_one_graph_with_the_same_answer_and_gradients():
    said = subprocess.run([sys.executable, Path(one_graph.__file__)], capture_output=True, text=True)
    assert said.stdout.split() == [network.__name__ for network in one_graph.NETWORKS], said.stderr


@pytest.mark.parametrize("network", one_graph.NETWORKS, ids=lambda network: network.__name__)
def test_bfloat16_keeps_answers_and_gradients_in_float32(network):
    model, asked = network()
    exact = model(*asked)
    with torch.autocast("cpu", torch.bfloat16):
        answer = model(*asked)
    assert answer.dtype == torch.float32
    assert (answer - exact).abs().mean() < 0.02 * exact.abs().mean()
    answer.square().mean().backward()
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}
