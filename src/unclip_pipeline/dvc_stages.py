"""`dvc.yaml` written from the registry and the catalog: one DVC stage per pipeline.

A stage depends on the source files its nodes reach by import, on the data it reads, and on exactly the
parameter keys it takes; its outputs are what the catalog says its nodes save.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from kedro.framework.session import KedroSession
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from omegaconf import OmegaConf

from unclip_pipeline.pipeline_registry import PIPELINES, load_pipeline, package_of

HEADER = "# Written by `kedro dvc-sync` from the registry and the catalog. Do not edit.\n"
PACKAGE = "unclip_pipeline"
Entry = str | dict[str, Any]


def dvc_yaml(project: Path) -> str:
    """Write the text of dvc.yaml for the base environment."""
    with KedroSession.create(project_path=project, env="base") as session:
        catalog = session.load_context().catalog
    owners = parameter_owners(project)
    stages = {name: stage(name, load_pipeline(name), catalog, owners, project) for name in PIPELINES}
    return HEADER + yaml.safe_dump({"stages": stages}, sort_keys=False, width=110)


def stage(
    name: str, pipeline: Pipeline, catalog: CatalogProtocol, owners: Mapping[str, str], project: Path
) -> dict[str, Any]:
    """Describe one pipeline as a DVC stage."""
    read = {dataset for dataset in pipeline.inputs() if not dataset.startswith("params:")}
    saved = on_disk(pipeline.all_outputs(), catalog)
    outputs = [output(dataset, catalog, project) for dataset in saved]
    kinds = {kind: [entry for of, entry in outputs if of == kind] for kind in ("outs", "metrics", "plots")}
    return {
        "cmd": f"kedro run --env=base --pipelines={name}",
        "deps": [*source_closure(name, project), *paths(sorted(read), catalog, project)],
        "params": parameters(pipeline, owners),
        **{kind: entries for kind, entries in kinds.items() if entries},
    }


def on_disk(datasets: Iterable[str], catalog: CatalogProtocol) -> list[str]:
    """List the datasets that are files or folders, sorted; what nodes of one stage hand on in memory is not."""
    return sorted(name for name in datasets if hasattr(catalog.get(name), "_filepath"))


def output(dataset: str, catalog: CatalogProtocol, project: Path) -> tuple[str, Entry]:
    """Describe one output as the catalog's `metadata.dvc` asks: an out, a metric or a plot."""
    wish = _wish(dataset, catalog)
    (path,) = paths([dataset], catalog, project)
    kind = wish.get("kind", "outs")
    if kind == "metrics":
        return kind, {path: {"cache": False}}  # small JSON that lives in git
    options = {key: wish[key] for key in ("persist", "x", "y") if key in wish}
    return kind, {path: options} if options else path


def paths(datasets: list[str], catalog: CatalogProtocol, project: Path) -> list[str]:
    """Name the files and folders of datasets, relative to the project."""
    tracked = [dataset for dataset in datasets if not _wish(dataset, catalog).get("ignore")]
    absolute = [Path(str(catalog.get(dataset)._filepath)) for dataset in tracked]
    return [path.relative_to(project).as_posix() if path.is_absolute() else str(path) for path in absolute]


def parameters(pipeline: Pipeline, owners: Mapping[str, str]) -> list[Entry]:
    """List the parameter keys a pipeline takes under the files that own them."""
    keys = sorted(name.removeprefix("params:") for name in pipeline.inputs() if name.startswith("params:"))
    files = sorted({owners[key.partition(".")[0]] for key in keys})
    return [{file: [key for key in keys if owners[key.partition(".")[0]] == file]} for file in files]


def parameter_owners(project: Path) -> dict[str, str]:
    """Map each top-level section to the file of conf/base that holds it."""
    files = sorted((project / "conf/base").glob("parameters*.yml"))
    return {
        str(key): file.relative_to(project).as_posix() for file in files for key in OmegaConf.load(file) or {}
    }


def source_closure(name: str, project: Path) -> list[str]:
    """Follow first-party imports from a pipeline's package; nothing is imported, torch least of all."""
    source = project / "src"
    waiting = sorted((source / PACKAGE / "pipelines" / package_of(name)).glob("*.py"))
    waiting.append(source / PACKAGE / "datasets" / "__init__.py")
    seen: set[Path] = set()
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting.extend(imported_files(file, source))
    return sorted(file.relative_to(project).as_posix() for file in seen)


def imported_files(file: Path, source: Path) -> Iterator[Path]:
    """Yield the first-party files that a file imports, at its head or inside a function."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            yield from _module_files(str(node.module), source)
            for alias in node.names:
                yield from _module_files(f"{node.module}.{alias.name}", source)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith(PACKAGE):
                    yield from _module_files(alias.name, source)


def _module_files(module: str, source: Path) -> Iterator[Path]:
    """Yield a module's file and its package's `__init__`, where they exist."""
    base = source.joinpath(*module.split("."))
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if file.is_file():
            yield file


def _wish(dataset: str, catalog: CatalogProtocol) -> dict[str, Any]:
    metadata = getattr(catalog.get(dataset), "metadata", None) or {}
    return dict(metadata.get("dvc", {}))
