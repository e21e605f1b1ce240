"""The project's own `kedro` commands."""

import sys
from pathlib import Path

import click
from kedro.framework.cli.project import run
from kedro.framework.startup import bootstrap_project

from unclip_pipeline.draw import BUNDLE, draw


@click.group(name="unclip_pipeline")
def cli() -> None:
    """Commands of this project."""


cli.add_command(run)
cli.add_command(draw)


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--model", default=BUNDLE, show_default=True, type=click.Path(path_type=Path), help="A released bundle."
)
def export(folder: Path, model: Path) -> None:
    """Hand a released model to diffusers as FOLDER, checked to draw the same pictures, or not at all."""
    from unclip_pipeline.export import NotExportableError, export_unclip

    try:
        exported = export_unclip(model, folder)
    except (NotExportableError, OSError, ModuleNotFoundError) as fault:
        raise click.ClickException(str(fault)) from fault
    for reason in exported.without:
        click.echo(f"without image variations: {reason}")
    click.echo(f"{folder}  draws as {model} does, to {exported.agreement.levels} of 255 levels a pixel")


@cli.command("dvc-sync")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if dvc.yaml is not current.")
def dvc_sync(check: bool) -> None:
    """Write dvc.yaml from the registry and the catalog."""
    project = Path.cwd()
    bootstrap_project(project)
    from unclip_pipeline.dvc_stages import dvc_yaml

    text, file = dvc_yaml(project), project / "dvc.yaml"
    if not check:
        file.write_text(text)
    elif not file.is_file() or file.read_text() != text:
        click.echo("dvc.yaml is not what the registry and the catalog say: run `kedro dvc-sync`", err=True)
        sys.exit(1)
