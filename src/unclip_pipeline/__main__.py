"""`python -m unclip_pipeline`: run the pipelines as `kedro run` does."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project


def main(arguments: Sequence[str] | None = None, **options: Any) -> Any:
    """Run the project's `run` command."""
    configure_project(Path(__file__).parent.name)
    run = find_run_command(__package__)
    return run(list(sys.argv[1:] if arguments is None else arguments), **options)


if __name__ == "__main__":
    main()
