"""The model registry: the one place that puts a model into MLflow."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from unclip_pipeline.cards.model_card import abstract

REQUIREMENTS = (
    "mlflow", "numpy", "open_clip_torch", "pandas", "pillow", "pyarrow", "safetensors", "scipy", "torch",
    "torchvision", "tqdm", "jaxtyping",
)  # fmt: skip
LONGEST_DESCRIPTION = 5000  # what the registry's column holds
ABOUT = (
    "Text to image after DALL-E 2 (unCLIP): a CLIP, a prior, a decoder and an upsampler in one folder. The alias "
    "`{alias}` names the version in use; each version is described by its model card."
)


def register(
    bundle: Path, *, name: str, alias: str, tags: Mapping[str, str], description: str, example: str
) -> int:
    """Log the bundle as a pyfunc model, register it, move the alias to it, and return its version.

    The project's package travels with the model, so that a server needs nothing but its requirements.
    """
    import mlflow
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    from unclip_pipeline import served_model

    source = Path(served_model.__file__)
    signature = ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "prompt")]),
        outputs=Schema([ColSpec(DataType.binary, "png")]),
        params=ParamSchema([ParamSpec("seed", DataType.long, 0)]),
    )
    info = mlflow.pyfunc.log_model(
        name=name,
        python_model=str(source),
        artifacts={"bundle": str(bundle)},
        code_paths=[str(source.parent)],
        signature=signature,
        input_example=(pd.DataFrame({"prompt": [example]}), {"seed": 0}),
        pip_requirements=pinned(REQUIREMENTS),
        registered_model_name=name,
    )
    client = mlflow.MlflowClient()
    for key, value in tags.items():
        client.set_model_version_tag(name, info.registered_model_version, key, value)
    client.update_model_version(
        name, info.registered_model_version, abstract(description, LONGEST_DESCRIPTION)
    )
    client.update_registered_model(name, ABOUT.format(alias=alias))
    client.set_registered_model_alias(name, alias, info.registered_model_version)
    return int(info.registered_model_version)


def pinned(names: tuple[str, ...]) -> list[str]:
    """Pin packages to what is installed here; a local build tag (+cpu) is no version of an index."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in names]
