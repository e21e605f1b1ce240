"""A run that torchrun started as several processes: one training, of which the main process alone leaves traces."""

from typing import NoReturn

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from unclip_pipeline.hooks.stages import stage_of
from unclip_pipeline.training.distributed import is_launched, is_main_process

TRAINING, TRAINED = "train_", "_weights"


class ProcessesHook:
    """Refuse what several processes cannot share, before anything is done."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Let torchrun run one training pipeline, and no more."""
        if is_launched():
            check_one_training(pipeline)


class OtherProcessHook:
    """What a process does that is not the main one: take part, and leave before anything is saved."""

    @hook_impl(tryfirst=True)
    def before_dataset_saved(self) -> NoReturn:
        """End where the main process would go on to save; one that trained has ended before."""
        assert not is_main_process()
        raise SystemExit(0)


def check_one_training(pipeline: Pipeline) -> None:
    """Raise unless the nodes are those of a single training: the processes part at its end."""
    stages = {stage_of(node) for node in pipeline.nodes}
    trained = [name for node in pipeline.nodes for name in node.outputs if name.endswith(TRAINED)]
    if len(trained) != 1 or not all(stage.startswith(TRAINING) for stage in stages):
        raise ValueError(
            f"torchrun must run one training pipeline at a time, got {sorted(stages)}; name one, such as "
            "`torchrun --nproc-per-node=2 -m kedro run --pipelines=train_decoder`, and run the others after it"
        )
