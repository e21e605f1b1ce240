"""Stop a run whose configuration cannot be meant, before its first node."""

import difflib
import os
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl


class ConfigurationHook:
    """Refuse parameter sections that no stage reads, and DVC stages whose parameters DVC cannot see."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Compare the sections of all environments with those of `conf/base`."""
        known = base_sections(Path(str(context.config_loader.conf_source)) / context.config_loader.base_env)
        check_sections(set(context.params), known)

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Inside a DVC stage, only `conf/base` counts: dvc.lock records nothing else."""
        overlay = run_params.get("env") not in (None, "base")
        if os.environ.get("DVC_STAGE") and (overlay or run_params.get("runtime_params")):
            raise ValueError(
                "a DVC stage runs on conf/base alone, since dvc.lock records no other parameters; got "
                f"env={run_params.get('env')!r} and runtime parameters {run_params.get('runtime_params')}; "
                "change conf/base (or use `dvc exp run -S`), or call `kedro run` outside DVC"
            )


def base_sections(folder: Path) -> set[str]:
    """Name the top-level keys of the base parameter files."""
    from omegaconf import OmegaConf

    return {str(key) for file in sorted(folder.glob("parameters*.yml")) for key in OmegaConf.load(file)}


def check_sections(given: set[str], known: set[str]) -> None:
    """Raise on a section that conf/base does not have, with the nearest name that it has."""
    for section in sorted(given - known):
        near = difflib.get_close_matches(section, known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"the sections are {sorted(known)}"
        raise ValueError(f"no stage reads the parameter section `{section}`; {hint}")
