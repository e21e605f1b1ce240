import os
from pathlib import Path

import pytest
from shard_functions import Fails, FailsToUnpickle, KillOnce, Pid, Square

from unclip_pipeline.engines import EngineConfig, ShardError, map_shards

LOCAL = EngineConfig(processes=2)
IN_PROCESS = EngineConfig(processes=1)


@pytest.mark.parametrize("engine", [LOCAL, IN_PROCESS])
def test_every_shard_is_worked_on_once(engine):
    assert sorted(map_shards(Square(), range(10), engine)) == [(n, n * n) for n in range(10)]


def test_no_shards_is_no_results():
    assert list(map_shards(Square(), [], LOCAL)) == []


def test_workers_live_over_all_shards():
    pids = list(map_shards(Pid(), range(12), LOCAL))
    assert 1 <= len(set(pids)) <= 2 and os.getpid() not in pids


def test_one_process_means_this_process():
    assert set(map_shards(Pid(), range(2), IN_PROCESS)) == {os.getpid()}


def test_a_killed_workers_shard_is_done_again(tmp_path):
    assert sorted(map_shards(KillOnce(tmp_path, shard=3, times=2), range(8), LOCAL)) == list(range(8))


def test_a_shard_that_always_kills_its_worker_ends_the_run_with_its_name(tmp_path):
    with pytest.raises(ShardError, match="3 times, this one did: 5"):
        list(map_shards(KillOnce(tmp_path, shard=5, times=99), range(8), LOCAL))
    assert len(list(tmp_path.iterdir())) == LOCAL.max_attempts


@pytest.mark.parametrize("engine", [LOCAL, IN_PROCESS])
def test_an_exception_in_a_worker_names_the_shard_and_the_fault(engine):
    with pytest.raises(ShardError, match="shard 7 failed(?s:.*)no row 7"):
        list(map_shards(Fails(), [7], engine))


def test_a_function_that_cannot_be_imported_says_so_instead_of_blaming_memory():
    with pytest.raises(ShardError, match="a_package_that_is_not_there"):
        list(map_shards(FailsToUnpickle(), [1], LOCAL))


def test_shards_are_drawn_lazily_and_closing_ends_the_workers():
    drawn: list[int] = []
    results = map_shards(Pid(), (drawn.append(n) or n for n in range(1000)), LOCAL)
    pid = next(results)
    results.close()
    assert len(drawn) < 10
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("wrong", [{"kind": "spark"}, {"processes": -1}, {"max_attempts": 0}])
def test_a_wrong_choice_is_named(wrong):
    with pytest.raises(ValueError, match=f"engine.{next(iter(wrong))} .*{next(iter(wrong.values()))!r}"):
        EngineConfig(**wrong)


def test_ray_gives_what_the_local_engine_gives(tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    ray_engine = EngineConfig(kind="ray", processes=2)
    assert sorted(map_shards(Square(), range(6), ray_engine)) == sorted(map_shards(Square(), range(6), LOCAL))
    assert sorted(map_shards(KillOnce(tmp_path, shard=2, times=1), range(4), ray_engine)) == list(range(4))
