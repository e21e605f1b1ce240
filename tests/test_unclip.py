"""The whole stack with random weights: what holds whatever the networks learned."""

from dataclasses import asdict, replace

import pytest
import torch

from unclip_pipeline.clip.encoder import embedder_id_of
from unclip_pipeline.clip.model import ClipConfig, initial_model, scratch_architecture
from unclip_pipeline.models.prior import Prior, PriorConfig, prior_weights
from unclip_pipeline.models.unet import Unet, UnetConfig, unet_weights
from unclip_pipeline.pipelines.release_model.bundle import write_bundle
from unclip_pipeline.unclip import SamplingConfig, UnClip, to_float, to_uint8
from unclip_pipeline.weights import Weights, save_weights

CLIP = ClipConfig(
    width=16, image_side_px=16, channels=(8, 16), text_width=16, text_heads=2, text_layers=1, context_length=8
)
SAMPLING = SamplingConfig(prior_steps=2, decoder_steps=2, upsampler_steps=1, batch_size=2)
CAPTIONS = ["a red star", "a blue heart", "a red star"]


def awake(model: torch.nn.Module) -> torch.nn.Module:
    """Give the zero-initialised layers something to say."""
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return model


def parts(**facts: str) -> dict[str, Weights]:
    torch.manual_seed(0)
    model = initial_model(CLIP, seed=0)
    clip = Weights(dict(model.state_dict()), {"kind": "clip", "architecture": scratch_architecture(CLIP)})
    facts = {"embedder_id": embedder_id_of(clip)} | facts
    tiny = dict(channels=(16, 16), head_width=16, norm_groups=8, target="v")
    prior = Prior(PriorConfig(width=16, layers=1, heads=2), embedding_width=16)
    decoder = Unet(UnetConfig(side_px=8, attention=(False, True), **tiny), embedding_width=16)
    upsampler = Unet(
        UnetConfig(side_px=16, attention=(False, False), low_side_px=8, residual_scale=0.2, **tiny)
    )
    return {
        "clip": clip,
        "prior": prior_weights(awake(prior), facts),
        "decoder": unet_weights(awake(decoder), "decoder", facts),
        "upsampler": unet_weights(awake(upsampler), "upsampler", {}),
    }


@pytest.fixture(scope="module")
def unclip() -> UnClip:
    return UnClip.from_weights(**parts(), sampling=SAMPLING)


def everything(unclip: UnClip, captions: list[str], seed: int = 0) -> tuple[torch.Tensor, ...]:
    embeddings = unclip.sample_image_embeddings(captions, seed=seed)
    small = unclip.decode(embeddings, captions, seed=seed)
    return embeddings, small, unclip.upsample(small, embeddings, seed=seed, names=captions)


def same(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Equal but for the rounding of products in batches of another size."""
    return (first.float() - second.float()).abs().max() <= (2 if first.dtype == torch.uint8 else 2e-2)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm_solver_pp_2m"])
def test_a_batch_equals_its_single_pictures(sampler):
    unclip = UnClip.from_weights(**parts(), sampling=replace(SAMPLING, sampler=sampler))
    together = everything(unclip, CAPTIONS)
    for place, caption in [(0, "a red star"), (1, "a blue heart")]:
        alone = everything(unclip, [caption])
        assert all(same(part[place], single[0]) for part, single in zip(together, alone, strict=True))


def test_the_same_caption_twice_gives_two_pictures(unclip):
    embeddings, small, _ = everything(unclip, CAPTIONS)
    assert not same(embeddings[0], embeddings[2]) and not same(small[0], small[2])


def test_another_seed_gives_another_picture(unclip):
    assert not same(everything(unclip, ["a ring"])[1], everything(unclip, ["a ring"], seed=1)[1])


def test_generate_gives_pictures_of_the_larger_size(unclip):
    pictures = unclip.generate(CAPTIONS, seed=0)
    assert [picture.size for picture in pictures] == [(16, 16)] * 3
    assert unclip.generate([], seed=0) == []


def test_of_several_samples_the_prior_keeps_the_nearest_to_the_caption():
    few = UnClip.from_weights(**parts(), sampling=replace(SAMPLING, prior_samples=1))
    many = UnClip.from_weights(**parts(), sampling=replace(SAMPLING, prior_samples=8))
    text = few.embed_texts(CAPTIONS)

    def nearness(unclip: UnClip) -> torch.Tensor:
        return torch.cosine_similarity(unclip.sample_image_embeddings(CAPTIONS, seed=0), text)

    assert (nearness(many) >= nearness(few) - 1e-3).all()
    assert nearness(many).mean() > nearness(few).mean()


def two_stages() -> dict[str, Weights]:
    """The parts with a second upsampler that doubles the side once more and was best with little noise."""
    torch.manual_seed(1)
    last = Unet(
        UnetConfig(
            side_px=32, low_side_px=16, residual_scale=0.2, attention=(False, False),
            channels=(16, 16), head_width=16, target="v",
        )
    )  # fmt: skip
    return {**parts(), "upsampler_32": unet_weights(awake(last), "upsampler", {"best_noise": 0.25})}


def test_every_stage_enlarges_what_the_one_below_drew():
    weights = two_stages()
    unclip = UnClip.from_weights(**weights, sampling=SAMPLING)
    assert [network.config.side_px for network in unclip.upsamplers] == [16, 32]
    together = everything(unclip, CAPTIONS)
    assert together[2].shape == (3, 3, 32, 32)
    assert same(together[2][1], everything(unclip, ["a blue heart"])[2][0])
    below = everything(UnClip.from_weights(**parts(), sampling=SAMPLING), CAPTIONS)[2].float()
    again = torch.nn.functional.avg_pool2d(together[2].float(), 2)
    assert (again - below).abs().mean() < (again - below.roll(1, 0)).abs().mean()


def test_a_pixel_rounded_otherwise_changes_no_noise_of_a_named_picture():
    unclip = UnClip.from_weights(**parts(), sampling=replace(SAMPLING, upsampler_noise=1.0))
    embeddings, small, _ = everything(unclip, ["a ring"])
    rounded = small.clone()
    rounded[0, 0, 0, 0] ^= 1
    named, own = (
        [unclip.upsample(one, embeddings, seed=0, names=names).int() for one in (small, rounded)]
        for names in (["a ring"], None)
    )
    assert (named[0] - named[1]).abs().float().mean() < 0.5 < (own[0] - own[1]).abs().float().mean()


def test_stages_out_of_order_are_refused():
    weights = two_stages()
    weights["upsampler_32"], weights["upsampler"] = weights["upsampler"], weights["upsampler_32"]
    with pytest.raises(ValueError, match=r"upsampler\.low_side_px must be decoder\.side_px, got 16 and 8"):
        UnClip.from_weights(**weights, sampling=SAMPLING)
    with pytest.raises(ValueError, match="needs an upsampler"):
        UnClip.from_weights(
            **{part: two_stages()[part] for part in ("clip", "prior", "decoder")}, sampling=SAMPLING
        )


def test_a_bundle_of_two_stages_gives_the_same_pictures(tmp_path):
    weights = two_stages()
    bundle = write_bundle(tmp_path / "bundle", weights, SAMPLING, {"name": "two"}, "a card")
    ours, theirs = UnClip.from_weights(**weights, sampling=SAMPLING), UnClip.load(bundle)
    assert torch.equal(everything(ours, CAPTIONS)[2], everything(theirs, CAPTIONS)[2])


def test_guidance_moves_the_picture(unclip):
    plain = UnClip.from_weights(**parts(), sampling=replace(SAMPLING, decoder_guidance=1.0))
    embeddings = unclip.sample_image_embeddings(CAPTIONS, seed=0)
    assert not same(plain.decode(embeddings, CAPTIONS, seed=0), unclip.decode(embeddings, CAPTIONS, seed=0))


def test_bundle_folder_gives_the_same_pictures(unclip, tmp_path):
    import json

    for name, weights in parts().items():
        save_weights(weights, tmp_path / name)
    (tmp_path / "unclip.json").write_text(json.dumps({"sampling": asdict(SAMPLING)}))
    loaded = UnClip.load(tmp_path)
    for ours, theirs in zip(everything(unclip, CAPTIONS), everything(loaded, CAPTIONS), strict=True):
        assert torch.equal(ours, theirs)


def test_parts_of_different_embedders_are_refused():
    with pytest.raises(ValueError, match="prior was trained on embeddings of another"):
        UnClip.from_weights(**parts(embedder_id="another"), sampling=SAMPLING)


def test_folder_without_a_bundle_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="release_model"):
        UnClip.load(tmp_path)


def test_pixels_survive_the_way_to_floats_and_back():
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert torch.equal(to_uint8(to_float(pixels)), pixels)


@pytest.mark.parametrize("wrong", [{"prior_steps": 0}, {"eta": 2.0}, {"prior_guidance": -1.0}])
def test_impossible_sampling_names_the_field(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}"):
        SamplingConfig(**wrong)
