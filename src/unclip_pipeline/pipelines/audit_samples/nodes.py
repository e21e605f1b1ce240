"""Adapters between the catalog, the stack and the audit of samples."""

from dataclasses import replace
from typing import Any

import pandas as pd

from unclip_pipeline.bias.config import AuditConfig
from unclip_pipeline.bias.sample_audit import audit_metrics, audit_prompts
from unclip_pipeline.cards.samples_audit import samples_audit_page
from unclip_pipeline.clip.encoder import load_encoder
from unclip_pipeline.corpus.images import encode_png
from unclip_pipeline.corpus.places import DatasetPlace
from unclip_pipeline.corpus.released import Dataset
from unclip_pipeline.pipelines.audit_samples.comparing import prompts_to_compare
from unclip_pipeline.pipelines.audit_samples.config import AuditSamplesConfig
from unclip_pipeline.progress import progress
from unclip_pipeline.seeds import seed_of
from unclip_pipeline.unclip import SamplingConfig, UnClip
from unclip_pipeline.weights import Weights


def draw(
    clip: Weights,
    prior: Weights,
    decoder: Weights,
    sampling: SamplingConfig,
    audit_samples: AuditSamplesConfig,
    seed: int,
    **upsamplers: Weights,
) -> pd.DataFrame:
    """Draw each prompt many times, one embedding each: choosing the best of several would narrow the shares."""
    plain = replace(sampling, prior_guidance=audit_samples.prior_guidance, prior_samples=1)
    unclip = UnClip.from_weights(clip=clip, prior=prior, decoder=decoder, sampling=plain, **upsamplers)
    drawn = [
        _draw(unclip, word, prompt, audit_samples.samples_per_prompt, seed)
        for word, prompt in progress(audit_samples.prompts.items(), label="audit_samples: drawing")
        if prompt is not None
    ]
    return pd.concat(drawn, ignore_index=True)


def audit(
    bias_samples: pd.DataFrame,
    dataset: DatasetPlace,
    audit_labels: pd.DataFrame,
    clip: Weights,
    axes: dict[str, Any],
    audit_data: AuditConfig,
    audit_samples: AuditSamplesConfig,
    seed: int,
) -> tuple[dict[str, Any], str]:
    """Compare variety and shares with those of training pictures of the same thing."""
    released = Dataset.open(dataset)
    prompts = prompts_to_compare(
        bias_samples, released, audit_labels, load_encoder(clip), axes, audit_samples,
        min_probability=audit_data.min_probability, seed=seed,
    )  # fmt: skip
    found = audit_prompts(prompts, min_spread=audit_samples.min_spread, seed=seed)
    left_out = bias_samples["occupation"].nunique() - len(prompts)
    metrics = {**audit_metrics(found), "prompts_without_training_pictures": left_out}
    facts = {
        "prior guidance": str(audit_samples.prior_guidance),
        "pictures per prompt": str(audit_samples.samples_per_prompt),
        "prompts left out": str(left_out),
        "embedder": released.embedder_id,
        "dataset version": released.version,
    }
    return metrics, samples_audit_page(bias_samples, found.spread, found.shares, found.parity, facts)


def _draw(unclip: UnClip, word: str, prompt: str, count: int, seed: int) -> pd.DataFrame:
    captions = [prompt] * count
    seed = seed_of(seed, "audit_samples")
    embeddings = unclip.sample_image_embeddings(captions, seed=seed)
    small = unclip.decode(embeddings, captions, seed=seed)
    pictures = unclip.upsample(small, embeddings, seed=seed, names=captions)
    return pd.DataFrame(
        {
            "sample": [f"{word}-{number:04d}" for number in range(count)],
            "prompt": prompt,
            "occupation": word,
            "png": [encode_png(picture) for picture in pictures.permute(0, 2, 3, 1).numpy()],
        }
    )
