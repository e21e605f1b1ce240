"""The chain, run once for all tests that look at what it leaves behind."""

import pytest

from project import Project, make_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The whole chain, run once by `kedro run` as `make run` does."""
    project = make_project(tmp_path_factory.mktemp("project") / "home")
    said = project.run("kedro", "run")
    (project.home / "run.log").write_text(said)
    print(said)
    return project
