"""The project's settings; imported before any hook runs."""

import os

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "KEDRO_DISABLE_TELEMETRY": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # a tracking server that is down fails in seconds, not minutes
    "OMP_WAIT_POLICY": "PASSIVE",  # two spinning threads cost five times the CPU on a busy machine
    "GOMP_SPINCOUNT": "0",
}
if os.environ.get("RANK", "0") != "0":  # of the processes that torchrun starts, the first one speaks
    QUIET["TQDM_DISABLE"] = "1"
for name, value in QUIET.items():
    os.environ.setdefault(name, value)

from unclip_pipeline.hooks import (  # noqa: E402  the switches above come before any heavy import
    ConfigurationHook,
    DemoWebHook,
    OtherProcessHook,
    ProcessesHook,
    RunTreeHook,
    StageLineHook,
)
from unclip_pipeline.pipeline_registry import CascadeHook  # noqa: E402
from unclip_pipeline.training.distributed import is_main_process  # noqa: E402

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
}
ALWAYS = (CascadeHook(), ConfigurationHook(), ProcessesHook())
HOOKS = (
    (*ALWAYS, RunTreeHook(), DemoWebHook(), StageLineHook())
    if is_main_process()
    else (*ALWAYS, OtherProcessHook())
)
