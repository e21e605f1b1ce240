"""PNGs that say they were generated, after what, and by which model."""

import io
from collections.abc import Mapping

from PIL import Image
from PIL.PngImagePlugin import PngInfo

SYNTHETIC = "trainedAlgorithmicMedia"  # IPTC's word for a picture made by a trained model


def labelled_png(image: Image.Image, description: str, model: Mapping[str, object]) -> bytes:
    """Encode with text fields: the description, and name, dataset version and code revision of the model."""
    facts = PngInfo()
    facts.add_itxt("Description", description)
    facts.add_text("Software", "unCLIP Pipeline")
    facts.add_text("DigitalSourceType", SYNTHETIC)
    for name in ("name", "dataset_version", "code_revision"):
        facts.add_text(name, str(model[name]))
    stream = io.BytesIO()
    image.save(stream, "PNG", pnginfo=facts)
    return stream.getvalue()
