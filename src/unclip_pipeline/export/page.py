"""What an exported folder says of itself: the model card, and how to draw with it."""

from collections.abc import Mapping
from typing import Any


def exported_card(card: str, facts: Mapping[str, Any]) -> str:
    """Append to a model card how the exported folder is used and what it lacks."""
    sampling, further = facts["sampling"], facts["cascade"][1:]
    return f"""{card.rstrip()}

## Use with diffusers

```python
from unclip_pipeline.export import load_unclip

pipeline = load_unclip("this folder")
pipeline(
    "a caption",
    prior_guidance_scale={max(sampling["prior_guidance"], 1.0)},
    decoder_guidance_scale={max(sampling["decoder_guidance"], 1.0)},
).images[0]
```

A bare `UnCLIPPipeline.from_pretrained` cannot find the projections of any unCLIP folder in diffusers 0.38 to
0.42 unless it may run the folder's `text_proj/unclip.py` (`trust_remote_code=True`, one import); `load_unclip`
needs no such leave. Exported for {facts["exported_for"]}.

On export, pictures drawn by the folder and by the networks it was made from were compared, with the same noise
and ancestral sampling: they differ by {facts["largest_difference_to_the_stack"]["levels"]} of 255 levels at most.
`kedro draw` shows other pictures for the same seed: it draws with {sampling["sampler"]}, chooses among
{sampling["prior_samples"]} samples of the prior and keys its noise by caption.

The tokenizer expects clean captions: unlike the one in training it repairs no broken encodings, curly quotes,
ligatures and HTML entities.

{_variations(facts)}
{_further(further)}"""


def _variations(facts: Mapping[str, Any]) -> str:
    if facts["image_variations"]:
        return "Image variations: `unclip_pipeline.export.load_variations` gives the pipeline for them."
    reasons = "; ".join(facts["why_no_image_variations"])
    return f"There is no image encoder, and so no image variations: {reasons}."


def _further(names: list[str]) -> str:
    if not names:
        return ""
    return (
        f"\ndiffusers' unCLIP enlarges once. The upsamplers after the first ({', '.join(names)}) lie in "
        "`further_upsamplers` in this project's own format, for `unclip_pipeline.unclip.draw_large`.\n"
    )
