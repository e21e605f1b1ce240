import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from unclip_pipeline.corpus.files import atomic_folder, atomic_path, is_complete


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    final = tmp_path / "table.csv"
    final.write_text("old")
    with pytest.raises(RuntimeError, match="half way"), atomic_path(final) as part:
        part.write_text("new, but")
        raise RuntimeError("half way")
    assert final.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


def test_a_failed_folder_leaves_the_old_folder_whole(tmp_path: Path) -> None:
    final = tmp_path / "shards"
    with atomic_folder(final) as part:
        (part / "a").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(final) as part:
        (part / "a").write_text("new")
        raise RuntimeError("half way")
    assert is_complete(final) and (final / "a").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["shards"]


def test_replacing_a_hard_link_leaves_its_other_name_alone(tmp_path: Path) -> None:
    cached, linked = tmp_path / "cached", tmp_path / "linked"
    cached.write_text("as DVC keeps it")
    os.link(cached, linked)
    with atomic_path(linked) as part:
        part.write_text("rewritten")
    assert cached.read_text() == "as DVC keeps it"


def test_a_killed_writer_leaves_nothing_under_the_final_name_and_the_next_one_cleans_up(
    tmp_path: Path,
) -> None:
    script = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from unclip_pipeline.corpus.files import atomic_folder
        with atomic_folder(Path({str(tmp_path / "final")!r})) as part:
            (part / "half").write_text("half")
            print("writing", flush=True)
            time.sleep(60)
        """
    )
    writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert writer.stdout is not None and writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert not (tmp_path / "final").exists() and len(list(tmp_path.iterdir())) == 1
    time.sleep(0.05)
    with atomic_folder(tmp_path / "final") as part:
        (part / "whole").write_text("whole")
    assert [file.name for file in tmp_path.iterdir()] == ["final"]
