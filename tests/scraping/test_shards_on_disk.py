"""What lies on disk after a scrape, whatever happened on the way."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import psutil
import pytest
from hostile_web import HostileWeb, hostile_web
from sites import HERE, IN_TWO_PROCESSES, PICTURES, SMALL, answers, contents, listed, scraped

from unclip_pipeline.corpus.shards import read_shard, shard_paths
from unclip_pipeline.engines import EngineConfig, map_shards


@pytest.fixture(scope="module")
def web():
    with hostile_web(answers()) as server:
        yield server


@pytest.fixture(scope="module")
def unbroken(web, tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("unbroken") / "shards"
    scraped(web, folder)
    return contents(folder)


def _asked_by(web: HostileWeb, run) -> set[str]:
    before = web.hits.copy()
    run()
    return {path for path in web.hits if web.hits[path] > before[path]}


def _uids(folder: Path) -> set[str]:
    return {sample.uid for shard in shard_paths(folder) for sample in read_shard(shard)}


def test_a_finished_folder_holds_shards_tables_and_marks_only(unbroken):
    numbers = range(PICTURES // SMALL.shard_size)
    expected = {f"{n:05d}.{kind}" for n in numbers for kind in ("tar", "stats.json", "parquet")}
    assert set(unbroken) == expected | {"_identity.json", "_SUCCESS"}


def test_the_tables_hold_every_url_and_the_tars_exactly_the_kept(web, tmp_path):
    ledger = scraped(web, tmp_path / "shards").ledger
    tables = pd.concat(pd.read_parquet(file) for file in sorted((tmp_path / "shards").glob("*.parquet")))
    assert sorted(tables["uid"]) == sorted(ledger["uid"]) and len(tables) == PICTURES
    assert _uids(tmp_path / "shards") == set(ledger.loc[ledger["fate"] == "kept", "uid"])
    assert tables["uid"].is_monotonic_increasing


@pytest.mark.parametrize("threads", [1, 16])
def test_the_number_of_threads_does_not_reach_the_bytes(web, unbroken, tmp_path, threads):
    scraped(web, tmp_path / "shards", config=replace(SMALL, threads=threads))
    assert contents(tmp_path / "shards") == unbroken


def test_neither_processes_nor_the_order_of_the_list_reach_the_bytes(web, unbroken, tmp_path):
    in_four_processes = partial(map_shards, engine=EngineConfig(processes=4))
    scraped(web, tmp_path / "shards", in_four_processes, urls=listed(web)[::-1])
    assert contents(tmp_path / "shards") == unbroken


def test_ray_gives_the_same_bytes(web, unbroken, tmp_path):
    pytest.importorskip("ray")
    scraped(web, tmp_path / "shards", partial(map_shards, engine=EngineConfig(kind="ray", processes=2)))
    assert contents(tmp_path / "shards") == unbroken


def test_a_killed_worker_costs_nothing_but_its_shard_again(tmp_path):
    killed: list[int] = []

    def kill_who_asks(connection, hit: int) -> None:
        port = connection.getpeername()[1]
        for worker in psutil.Process().children() if hit == 1 else []:
            if any(end.laddr.port == port for end in worker.net_connections("tcp")):
                killed.append(worker.pid)
                worker.kill()
                return
        connection.sendall(answers()["/30"])

    with hostile_web(answers() | {"/30": kill_who_asks}) as web:
        scraped(web, tmp_path / "shards", IN_TWO_PROCESSES)
        assert len(killed) == 1 and web.hits["/30"] == 2
        expected = tmp_path / "expected"
        scraped(web, expected)
        assert contents(tmp_path / "shards") == contents(expected)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import pandas as pd
import sites
if __name__ == "__main__":
    engine = getattr(sites, sys.argv[4])
    sites.scraped(None, Path(sys.argv[2]), engine, urls=pd.read_parquet(sys.argv[3]))
"""


@pytest.mark.parametrize("engine", ["HERE", "IN_TWO_PROCESSES"])
def test_a_killed_run_leaves_no_half_written_file_and_goes_on_where_it_stopped(tmp_path, engine):
    folder, reached = tmp_path / "shards", threading.Event()

    def hold(connection, hit: int) -> None:
        if hit == 1:
            reached.set()
            connection.settimeout(30)
            connection.recv(1)
        connection.sendall(answers()["/30"])

    with hostile_web(answers() | {"/30": hold}) as web:
        listed(web).to_parquet(tmp_path / "urls.parquet")
        command = [
            sys.executable,
            "-c",
            SCRIPT,
            str(Path(__file__).parent),
            str(folder),
            str(tmp_path / "urls.parquet"),
            engine,
        ]
        run = subprocess.Popen(command)
        assert reached.wait(60)
        time.sleep(0.3)  # let the threads beside it finish their pictures
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        finished = {path.name for path in folder.glob("*.parquet")}
        assert not (folder / "_SUCCESS").exists() and len(finished) < PICTURES / SMALL.shard_size
        done = {url for file in finished for url in pd.read_parquet(folder / file)["url"]}
        asked = _asked_by(web, lambda: scraped(web, folder))
        assert {web.url(path) for path in asked}.isdisjoint(done) and "/30" in asked
        scraped(web, tmp_path / "expected")
        assert contents(folder) == contents(tmp_path / "expected")


def test_a_second_run_of_the_same_list_asks_for_nothing(web, tmp_path, unbroken):
    scraped(web, tmp_path / "shards")
    again = {}
    assert _asked_by(web, lambda: again.update(result=scraped(web, tmp_path / "shards"))) == set()
    assert again["result"].asked_rows == 0 and contents(tmp_path / "shards") == unbroken


def test_how_patiently_we_ask_does_not_make_a_new_dataset_but_what_we_keep_does(web, tmp_path):
    scraped(web, tmp_path / "shards")
    patient = replace(SMALL, timeout_s=9.0, retries=1, threads=2, contact="someone@example.org")
    assert _asked_by(web, lambda: scraped(web, tmp_path / "shards", config=patient)) == set()
    smaller = replace(SMALL, max_side_px=16)
    assert len(_asked_by(web, lambda: scraped(web, tmp_path / "shards", config=smaller))) == PICTURES
    assert all(
        max(s.meta["width"], s.meta["height"]) <= 16 for s in read_shard(tmp_path / "shards/00000.tar")
    )


def test_rows_that_leave_the_list_leave_their_shards_without_a_request(web, tmp_path):
    folder, short = tmp_path / "shards", listed(web).head(10)
    before = scraped(web, folder).ledger.set_index("uid")
    (folder / "notes.md").write_text("mine")
    result = {}
    assert _asked_by(web, lambda: result.update(it=scraped(web, folder, urls=short))) == set()
    after = result["it"].ledger.set_index("uid")
    pd.testing.assert_frame_equal(after, before.loc[after.index])
    assert _uids(folder) == set(after.index[after["fate"] == "kept"]) and len(after) == 10
    assert {path.stem for path in shard_paths(folder)} == set(after["shard"])
    assert (folder / "notes.md").read_text() == "mine"


def test_a_shard_without_its_table_is_fetched_again(web, tmp_path, unbroken):
    folder = tmp_path / "shards"
    scraped(web, folder)
    (folder / "00002.parquet").unlink()
    (folder / "00004.tar").unlink()
    assert len(_asked_by(web, lambda: scraped(web, folder))) == 2 * SMALL.shard_size
    assert contents(folder) == unbroken


def test_a_taken_down_url_or_uid_is_never_asked_for(web, tmp_path):
    uid = scraped(web, tmp_path / "before").ledger.set_index("url").loc[web.url("/3"), "uid"]
    takedowns = pd.DataFrame(
        {
            "kind": ["url", "uid"],
            "value": [web.url("/5").replace("http", "HTTP") + "#fragment", uid.upper()],
            "reason": ["asked by the owner", "by court"],
        }
    )
    result = {}
    asked = _asked_by(web, lambda: result.update(it=scraped(web, tmp_path / "shards", takedowns=takedowns)))
    ledger = result["it"].ledger.set_index("url")
    assert not {"/3", "/5"} & asked and len(asked) == PICTURES - 2
    assert ledger.loc[web.url("/5"), ["fate", "error"]].tolist() == [
        "scrape.taken_down",
        "asked by the owner",
    ]
    assert ledger.loc[web.url("/3"), ["fate", "error"]].tolist() == ["scrape.taken_down", "by court"]
    assert set(ledger.loc[[web.url("/3"), web.url("/5")], "uid"]).isdisjoint(_uids(tmp_path / "shards"))


def test_bytes_taken_down_later_leave_their_shard_without_a_request(web, tmp_path):
    folder = tmp_path / "shards"
    row = scraped(web, folder).ledger.set_index("url").loc[web.url("/9")]
    takedowns = pd.DataFrame({"kind": ["sha256"], "value": [row["sha256"]], "reason": ["withdrawn"]})
    result = {}
    asked = _asked_by(web, lambda: result.update(it=scraped(web, folder, takedowns=takedowns)))
    assert asked == set()
    ledger = result["it"].ledger.set_index("url")
    assert ledger.loc[web.url("/9"), "fate"] == "scrape.taken_down" and row["uid"] not in _uids(folder)
    scraped(web, tmp_path / "fresh", takedowns=takedowns)
    assert contents(folder) == contents(tmp_path / "fresh")
    assert _asked_by(web, lambda: result.update(it=scraped(web, folder))) == {"/9"}, "the takedown was lifted"
    assert result["it"].ledger.set_index("url").loc[web.url("/9"), "fate"] == "kept"


def test_a_run_that_loses_rows_fails_with_the_figure(web, tmp_path):
    def forgetful(function, shards):
        return HERE(function, list(shards)[1:])

    with pytest.raises(ValueError, match=f"of {PICTURES} rows {SMALL.shard_size} have none"):
        scraped(web, tmp_path / "shards", forgetful)
    assert not (tmp_path / "shards" / "_SUCCESS").exists()


def test_an_empty_list_is_an_empty_scrape(web, tmp_path):
    result = scraped(web, tmp_path / "shards", urls=listed(web).head(0))
    assert len(result.ledger) == 0 and (tmp_path / "shards/_SUCCESS").exists()


def test_a_fault_in_our_own_code_ends_the_run_instead_of_hanging_it(web, tmp_path, monkeypatch):
    import unclip_pipeline.scraping.downloader as downloader

    def broken(*arguments):
        raise AttributeError("our mistake")

    monkeypatch.setattr(downloader, "store_image", broken)
    with pytest.raises(RuntimeError, match="our mistake"):
        scraped(web, tmp_path / "shards")


def test_the_same_url_under_two_captions_is_two_rows(web, tmp_path):
    urls = pd.DataFrame({"url": [web.url("/0")] * 3, "caption": ["a", "b", "a"]})
    ledger = scraped(web, tmp_path / "shards", urls=urls).ledger.set_index("caption")
    assert ledger["listed"].to_dict() == {"a": 2, "b": 1} and (ledger["fate"] == "kept").all()
