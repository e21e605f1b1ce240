"""Under torchrun: one training at a time, of which the main process alone saves."""

import os
import subprocess
import sys

import pytest
from kedro.pipeline import Node, Pipeline

from processes import launched
from unclip_pipeline.hooks.processes import OtherProcessHook, ProcessesHook


def stage(name: str, *outputs: str) -> Node:
    return Node(lambda: [1] * len(outputs), inputs=None, outputs=list(outputs), name=name, tags=[name])


PRIOR = stage("train_prior", "prior_weights", "train_prior_metrics")


@pytest.mark.parametrize(
    "other", [stage("train_decoder", "decoder_weights"), stage("evaluate", "evaluate_metrics")]
)
def test_several_processes_run_one_training_and_nothing_else(other):
    hook, both = ProcessesHook(), Pipeline([PRIOR, other])
    hook.before_pipeline_run(both)  # a process of its own runs what it likes
    with launched(0, 2, 0):
        hook.before_pipeline_run(Pipeline([PRIOR]))
        with pytest.raises(ValueError, match=f"one training pipeline at a time, got .*{other.name}"):
            hook.before_pipeline_run(both)


def test_another_process_leaves_before_it_saves():
    with launched(1, 2, 0), pytest.raises(SystemExit) as left:
        OtherProcessHook().before_dataset_saved()
    assert left.value.code == 0


def test_another_process_has_none_of_the_hooks_that_log():
    code = "from unclip_pipeline.settings import HOOKS; print(*(type(hook).__name__ for hook in HOOKS))"
    with launched(1, 2, 0):
        said = subprocess.run(
            [sys.executable, "-c", code], env=dict(os.environ), capture_output=True, text=True, check=True
        )
    hooks = set(said.stdout.split())
    assert "OtherProcessHook" in hooks and not hooks & {"RunTreeHook", "StageLineHook", "DemoWebHook"}
