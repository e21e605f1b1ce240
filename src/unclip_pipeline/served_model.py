"""The model as MLflow serves it: prompts in, PNGs out; MLflow runs this file to load it."""

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from PIL import Image
from PIL.PngImagePlugin import PngInfo


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
        prompts = model_input["prompt"].tolist()
        images = self._unclip.generate(prompts, seed=int((params or {}).get("seed", 0)))
        return pd.DataFrame(
            {"png": [self._png(image, prompt) for image, prompt in zip(images, prompts, strict=True)]}
        )

    def _png(self, image: Image.Image, prompt: str) -> bytes:
        """Encode with text fields that say the picture is generated, from which prompt, by which model."""
        facts = PngInfo()
        facts.add_itxt("Description", prompt)
        facts.add_text("Software", "unCLIP Pipeline")
        facts.add_text("DigitalSourceType", "trainedAlgorithmicMedia")
        for name in ("name", "dataset_version", "code_revision"):
            facts.add_text(name, str(self._facts[name]))
        stream = io.BytesIO()
        image.save(stream, "PNG", pnginfo=facts)
        return stream.getvalue()


set_model(ServedUnClip())
