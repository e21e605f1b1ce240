"""A whole stack goes to diffusers and draws the same there, or nothing is written."""

import json
import sys

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from exportable_stack import exportable_weights, write_bundle
from networks import noise
from unclip_pipeline.models.unet import Unet, UnetConfig, load_unet, unet_weights
from unclip_pipeline.unclip import UnClip
from unclip_pipeline.weights import load_weights

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore:Initializing zero-element")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("stack") / "bundle", exportable_weights())


@pytest.fixture(scope="module")
def exported(bundle):
    from unclip_pipeline.export import export_unclip

    return export_unclip(bundle, bundle.parent / "exported")


def test_exported_folder_draws_what_the_stack_draws(bundle, exported):
    from unclip_pipeline.export import load_unclip
    from unclip_pipeline.export.check import compare

    unclip, pipeline = UnClip.load(bundle, torch.device("cpu")), load_unclip(exported.folder)
    agreement = compare(unclip, pipeline, ["a red disc", "nothing but a very long caption!", ""])
    agreement.require()
    assert exported.agreement.levels <= 1


def test_the_check_sees_one_changed_weight_of_any_part(bundle, exported):
    from unclip_pipeline.export import load_unclip
    from unclip_pipeline.export.check import compare

    unclip, pipeline = UnClip.load(bundle, torch.device("cpu")), load_unclip(exported.folder)
    for part in ("text_encoder", "prior", "text_proj", "decoder", "super_res_first", "super_res_last"):
        weight = list(getattr(pipeline, part).parameters())[-1].data
        before = weight.clone()
        weight.add_(0.1 * noise(*weight.shape))
        with pytest.raises(RuntimeError, match="must draw what this stack draws"):
            compare(unclip, pipeline, ["a picture"]).require()
        weight.copy_(before)


@pytest.mark.parametrize(
    "options",
    [
        {"decoder": {"target": "eps"}, "upsampler": {"target": "eps"}},
        {"decoder": {"learned_variance": True}, "upsampler": {"learned_variance": True}},
        {"clip": {"context_length": 12}, "prior": {"context_length": 77}},
    ],
    ids=["eps", "learned variance", "fewer tokens"],
)
def test_every_expressible_kind_of_stack_draws_the_same(tmp_path, options):
    from unclip_pipeline.export import export_unclip

    exported = export_unclip(
        write_bundle(tmp_path / "bundle", exportable_weights(**options)), tmp_path / "out"
    )
    assert exported.agreement.levels <= 1


def test_folder_says_what_it_was_made_from_and_what_it_lacks(exported):
    facts = json.loads((exported.folder / "unclip.json").read_text())
    page = (exported.folder / "README.md").read_text()
    assert {facts[name] for name in ("dataset_version", "embedder_id", "code_revision")} == {
        "0123",
        "tiny clip",
        "abc",
    }
    assert page.startswith("# Model card: tiny") and "load_unclip" in page
    assert not facts["image_variations"] and "convolutional" in page
    assert not (exported.folder / "image_encoder").exists()


def test_folder_without_a_picture_tower_offers_no_variations(exported):
    from unclip_pipeline.export import load_variations

    with pytest.raises(FileNotFoundError, match="no image variations"):
        load_variations(exported.folder)


def test_stack_whose_clip_sees_by_a_transformer_offers_image_variations(tmp_path):
    from unclip_pipeline.export import export_unclip, load_variations

    described = {
        "name": "small",
        "model": {
            "embed_dim": 16,
            "text_cfg": {"width": 16, "heads": 2, "layers": 1, "context_length": 16},
            "vision_cfg": {"width": 16, "layers": 1, "head_width": 8, "patch_size": 8, "image_size": 32},
        },
        "preprocessing": {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic"},
    }
    bundle = write_bundle(tmp_path / "bundle", exportable_weights(architecture=described))
    exported = export_unclip(bundle, tmp_path / "out")
    assert exported.without == []
    vary = load_variations(exported.folder)
    grey = Image.new("RGB", (32, 32), "grey")
    steps = {"decoder_num_inference_steps": 2, "super_res_num_inference_steps": 2}
    assert vary(grey, num_images_per_prompt=2, **steps).images[1].size == (32, 32)


def test_folder_loads_plainly_with_leave_to_run_its_one_import(exported, tmp_path, monkeypatch):
    from diffusers import UnCLIPPipeline
    from diffusers.utils import dynamic_modules_utils

    from unclip_pipeline.export import load_unclip

    monkeypatch.setattr(dynamic_modules_utils, "HF_MODULES_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "path", [*sys.path])
    theirs = UnCLIPPipeline.from_pretrained(exported.folder, trust_remote_code=True, local_files_only=True)
    ours = load_unclip(exported.folder).text_proj.state_dict()
    assert all(tensor.equal(ours[name]) for name, tensor in theirs.text_proj.state_dict().items())


def test_loading_leaves_diffusers_as_it_was(exported):
    import diffusers.pipelines

    from unclip_pipeline.export import load_unclip

    load_unclip(exported.folder)
    assert not hasattr(diffusers.pipelines, "unclip")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"clip": {"text_width": 32}}, "clip.text_cfg.width 32"),
        ({"prior": {"text_tokens": False}}, "prior.text_tokens off"),
        ({"prior": {"schedule": "linear"}}, "prior.schedule linear"),
        ({"prior": {"context_length": 8}}, "prior.context_length 8"),
        ({"decoder": {"target": "v"}}, "decoder.target v"),
        ({"decoder": {"unshuffle": 2}}, "decoder.unshuffle"),
        ({"decoder": {"condition_width": 8}}, "decoder.condition_width"),
        ({"decoder": {"schedule": "linear"}}, "decoder.schedule linear"),
        ({"decoder": {"schedule_shift": 0.5}}, "decoder.schedule_shift"),
        ({"decoder": {"text_tokens": False}}, "decoder.text_tokens off"),
        ({"decoder": {"text_embedding": False}}, "decoder.text_embedding off"),
        ({"decoder": {"image_tokens": 0}}, "decoder.image_tokens 0"),
        ({"decoder": {"attention": (True, False)}}, "decoder.attention off at the last level"),
        ({"clip": {"context_length": 60}}, "decoder.side_px 16: a level of 8 x 8 pixels"),
        ({"upsampler": {"target": "v"}}, "upsampler.target v"),
        ({"upsampler": {"residual_scale": 0.2}}, "upsampler.residual_scale"),
        ({"upsampler": {"told_noise": True}}, "upsampler.told_noise"),
        ({"upsampler": {"schedule": "linear"}}, "upsampler.schedule linear"),
        ({"upsampler": {"attention": (False, True)}}, "upsampler.attention"),
        ({"upsampler": {"low_side_px": 8}}, "upsampler.low_side_px 8"),
    ],
    ids=lambda value: value.partition(" ")[0] if isinstance(value, str) else "",
)
def test_what_diffusers_cannot_express_is_refused_by_name(options, reason):
    from unclip_pipeline.export import why_not_exportable

    parts = exportable_weights(**options)
    cascade = {"upsampler": parts.pop("upsampler")}
    found = why_not_exportable(**parts, cascade=cascade)
    assert [one for one in found if one.startswith(reason)], found


def test_all_reasons_are_given_at_once_and_nothing_is_written(tmp_path):
    from unclip_pipeline.export import NotExportableError, export_unclip

    parts = exportable_weights(
        prior={"text_tokens": False}, decoder={"target": "v"}, upsampler={"target": "v"}
    )
    bundle = write_bundle(tmp_path / "bundle", parts)
    with pytest.raises(
        NotExportableError, match=r"(?s)prior.text_tokens.*decoder.target v.*upsampler.target v"
    ):
        export_unclip(bundle, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]


@pytest.mark.parametrize("stopped_in", ["save_picture_tower", "_checked", "exported_card"])
def test_interrupted_export_leaves_nothing(bundle, tmp_path, monkeypatch, stopped_in):
    from unclip_pipeline.export import folder

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, stopped_in, stop)
    with pytest.raises(KeyboardInterrupt):
        folder.export_unclip(bundle, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_export_that_draws_something_else_fails_and_leaves_nothing(bundle, tmp_path, monkeypatch):
    from unclip_pipeline.export import folder, pipeline

    convert = pipeline.prior_to_diffusers

    def wrong(prior, **named):
        other = convert(prior, **named)
        with torch.no_grad():
            other.clip_mean.mul_(1.01)
        return other

    monkeypatch.setattr(pipeline, "prior_to_diffusers", wrong)
    with pytest.raises(RuntimeError, match="nothing was written"):
        folder.export_unclip(bundle, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_export_replaces_an_earlier_export_and_nothing_else(bundle, tmp_path):
    from unclip_pipeline.export import export_unclip

    letters = tmp_path / "letters"
    letters.mkdir()
    with pytest.raises(FileExistsError, match="no earlier export"):
        export_unclip(bundle, letters)
    assert letters.is_dir()
    for _ in range(2):
        export_unclip(bundle, tmp_path / "out")


def test_upsamplers_after_the_first_go_beside_in_our_own_format(tmp_path):
    from unclip_pipeline.export import export_unclip

    parts = exportable_weights()
    config = UnetConfig(
        side_px=64, low_side_px=32, channels=(16,), attention=(False,), head_width=16, residual_scale=0.2,
        text_embedding=False,
    )  # fmt: skip
    parts["upsampler_64"] = unet_weights(Unet(config), "upsampler", {})
    bundle = write_bundle(tmp_path / "bundle", parts, cascade=["upsampler", "upsampler_64"])
    folder = export_unclip(bundle, tmp_path / "out").folder
    further = load_unet(load_weights(folder / "further_upsamplers" / "upsampler_64"), "upsampler")
    assert further.config.side_px == 64
    assert "enlarges once" in (folder / "README.md").read_text()


def test_command_writes_the_folder_or_says_why_not(bundle, tmp_path):
    from unclip_pipeline.cli import cli

    done = CliRunner().invoke(cli, ["export", str(tmp_path / "out"), "--model", str(bundle)])
    assert done.exit_code == 0 and "without image variations" in done.output, done.output
    parts = exportable_weights(decoder={"target": "v"})
    refused = write_bundle(tmp_path / "refused", parts)
    said = CliRunner().invoke(cli, ["export", str(tmp_path / "other"), "--model", str(refused)])
    assert said.exit_code == 1 and "decoder.target v" in said.output


def test_without_diffusers_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    monkeypatch.delitem(sys.modules, "unclip_pipeline.export.diffusers_guard", raising=False)
    monkeypatch.delitem(sys.modules, "diffusers.pipelines", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"unclip_pipeline\[export\]"):
        import unclip_pipeline.export.diffusers_guard  # noqa: F401
