"""The model as MLflow serves it: prompts in, PNGs out; MLflow runs this file to load it."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class ServedUnClip(PythonModel):
    """Column `prompt` in; column `png` out, as bytes in Python and as base64 over HTTP."""

    def load_context(self, context: Any) -> None:
        """Load the bundle; MLflow passes `context` by name."""
        from unclip_pipeline.unclip import UnClip

        bundle = Path(context.artifacts["bundle"])
        self._unclip = UnClip.load(bundle)
        self._facts = json.loads((bundle / "unclip.json").read_text())

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Draw every prompt; the same prompts and `seed` give the same pictures."""
        from unclip_pipeline.unclip.labelled import labelled_png

        prompts = model_input["prompt"].tolist()
        images = self._unclip.generate(prompts, seed=int((params or {}).get("seed", 0)))
        return pd.DataFrame(
            {"png": [labelled_png(*drawn, self._facts) for drawn in zip(images, prompts, strict=True)]}
        )


set_model(ServedUnClip())
