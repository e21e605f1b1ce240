import pytest

from unclip_pipeline.hooks.configuration import ConfigurationHook, check_sections


def test_a_misspelt_section_names_the_one_that_was_meant() -> None:
    with pytest.raises(ValueError, match="`filtr`; did you mean `filter`"):
        check_sections({"filtr", "seed"}, {"filter", "seed"})


def test_known_sections_pass() -> None:
    check_sections({"filter"}, {"filter", "seed"})


@pytest.mark.parametrize("run_params", [{"env": "local"}, {"env": "base", "runtime_params": {"seed": 1}}])
def test_a_dvc_stage_refuses_parameters_that_dvc_cannot_see(
    run_params: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_STAGE", "filter")
    with pytest.raises(ValueError, match="conf/base alone"):
        ConfigurationHook().before_pipeline_run(run_params)


def test_a_dvc_stage_runs_on_base_and_plain_kedro_on_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "filter")
    ConfigurationHook().before_pipeline_run({"env": "base", "runtime_params": {}})
    monkeypatch.delenv("DVC_STAGE")
    ConfigurationHook().before_pipeline_run({"env": "local", "runtime_params": {"seed": 1}})
