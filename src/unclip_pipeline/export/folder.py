"""Hand a released model over as one folder that diffusers loads."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from unclip_pipeline.corpus.files import atomic_folder
from unclip_pipeline.export.check import Agreement, compare
from unclip_pipeline.export.page import exported_card
from unclip_pipeline.export.pipeline import load_unclip, save_picture_tower, save_unclip, unclip_pipeline_of
from unclip_pipeline.export.reasons import NotExportableError, why_not_exportable
from unclip_pipeline.progress import progress_bar
from unclip_pipeline.unclip import SamplingConfig, UnClip
from unclip_pipeline.unclip.stack import CASCADE, PARTS
from unclip_pipeline.weights import load_weights, save_weights

DESCRIPTION = "unclip.json"
CARD = "MODEL_CARD.md"
BESIDE = "further_upsamplers"


class Exported(NamedTuple):
    """What was handed over: the folder, what it lacks and why, and how near it draws to the stack."""

    folder: Path
    without: list[str]
    agreement: Agreement


def export_unclip(bundle: Path, target: Path) -> Exported:
    """Write a released bundle as a diffusers folder, whole and checked, or not at all.

    Raises NotExportableError with every reason for a stack that diffusers cannot express, and RuntimeError if
    what was written does not draw the same pictures.
    """
    check_target(target)
    if not (bundle / DESCRIPTION).is_file():
        raise FileNotFoundError(f"{bundle} is no model bundle: it has no {DESCRIPTION}; run `release_model`")
    description = json.loads((bundle / DESCRIPTION).read_text())
    parts = {name: load_weights(bundle / name) for name in PARTS}
    cascade = {name: load_weights(bundle / name) for name in description.get("cascade", CASCADE)}
    first, *further = cascade
    if reasons := why_not_exportable(**parts, cascade=cascade):
        raise NotExportableError(
            f"{bundle} is more than diffusers' unCLIP can express; nothing was written:\n"
            + "".join(f"  {one}\n" for one in reasons)
            + "conf/diffusers configures a stack that it can"
        )
    limit = SamplingConfig(**description["sampling"]).prior_limit
    with atomic_folder(target) as folder, progress_bar(None, label="export", total=3) as bar:
        save_unclip(unclip_pipeline_of(**parts, upsampler=cascade[first], prior_limit=limit), folder)
        without = save_picture_tower(parts["clip"], folder)
        bar.update()
        for name in further:
            save_weights(cascade[name], folder / BESIDE / name)
        bar.update()
        agreement = _checked(bundle, folder)
        bar.update()
        facts = _facts(description, list(cascade), without, agreement)
        (folder / DESCRIPTION).write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
        (folder / "README.md").write_text(exported_card((bundle / CARD).read_text(), facts))
    return Exported(target, without, agreement)


def check_target(target: Path) -> None:
    """Refuse to replace anything but an earlier export."""
    if target.exists() and not ((target / "model_index.json").is_file() and (target / DESCRIPTION).is_file()):
        raise FileExistsError(
            f"{target} exists and is no earlier export; name a folder that does not exist yet"
        )


def _checked(bundle: Path, folder: Path) -> Agreement:
    pipeline = load_unclip(folder)
    pipeline.set_progress_bar_config(disable=True)
    agreement = compare(UnClip.load(bundle, torch.device("cpu")), pipeline)
    agreement.require()
    return agreement


def _facts(
    description: Mapping[str, Any], cascade: list[str], without: list[str], agreement: Agreement
) -> dict[str, Any]:
    from unclip_pipeline.export.diffusers_guard import diffusers

    return {
        **description,
        "cascade": cascade,
        "exported_for": f"diffusers {diffusers.__version__}",
        "image_variations": not without,
        "why_no_image_variations": without,
        "largest_difference_to_the_stack": agreement._asdict(),
    }
