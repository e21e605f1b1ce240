import io
import random
import tarfile

import pytest

from unclip_pipeline.corpus.shards import Sample, read_shard, shard_paths, tar_bytes, write_shard


def _samples(count: int = 20) -> list[Sample]:
    return [
        Sample(f"{n:016x}", bytes([n]) * (n * 37), "png", f"caption {n}\nπ", {"n": n, "word": "ø"})
        for n in range(count)
    ]


def test_a_shard_gives_back_what_was_written(tmp_path):
    write_shard(tmp_path / "00000.tar", _samples())
    assert list(read_shard(tmp_path / "00000.tar")) == _samples()


def test_the_order_of_samples_and_of_meta_keys_does_not_reach_the_bytes(tmp_path):
    shuffled = [s._replace(meta=dict(reversed(s.meta.items()))) for s in _samples()]
    random.Random(0).shuffle(shuffled)
    write_shard(tmp_path / "a.tar", _samples())
    write_shard(tmp_path / "b.tar", shuffled)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_headers_carry_no_time_owner_or_mode_of_this_machine(tmp_path):
    write_shard(tmp_path / "00000.tar", _samples(3))
    with tarfile.open(tmp_path / "00000.tar") as tar:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in tar} == {(0, 0, 0, "", "", 0o644)}


@pytest.mark.parametrize("count", [0, 1, 20, 40])
def test_a_tar_is_the_one_that_the_library_writes(tmp_path, count):
    draw = random.Random(count)
    sizes = [draw.choice([0, 1, 511, 512, 513, 9000]) for _ in range(count)]
    names = [draw.choice(["{}", "{}é", "{:0100}", "{:060}/{:060}"]).format(n, n) for n in range(count)]
    members = sorted((name, bytes(size)) for name, size in zip(names, sizes, strict=True))
    with tarfile.open(tmp_path / "theirs.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    tar_bytes(tmp_path / "ours.tar", members)
    assert (tmp_path / "ours.tar").read_bytes() == (tmp_path / "theirs.tar").read_bytes()


def test_member_offsets_point_at_the_bytes(tmp_path):
    extra = {"image.npy": b"vector", "text.npy": b"other"}
    members = write_shard(tmp_path / "00000.tar", _samples(), lambda sample: extra)
    whole = (tmp_path / "00000.tar").read_bytes()
    with tarfile.open(tmp_path / "00000.tar") as tar:
        assert [m.name for m in members] == tar.getnames() == sorted(tar.getnames())
        for member in members:
            assert whole[member.offset : member.offset + member.size] == tar.extractfile(member.name).read()


def test_extra_members_do_not_disturb_the_samples(tmp_path):
    write_shard(tmp_path / "00000.tar", _samples(), lambda sample: {"image.npy": b"x", "zzz": b"y"})
    assert list(read_shard(tmp_path / "00000.tar")) == _samples()


def test_a_repeated_member_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match="distinct member names"):
        tar_bytes(tmp_path / "a.tar", [("x", b"1"), ("x", b"2")])
    assert not list(tmp_path.iterdir())


def test_a_writer_that_fails_leaves_nothing_behind(tmp_path):
    def broken():
        yield _samples()[0]
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        write_shard(tmp_path / "00000.tar", broken())
    assert not list(tmp_path.iterdir())


def test_a_sample_without_its_image_is_an_error_that_names_it(tmp_path):
    tar_bytes(tmp_path / "a.tar", [("0123456789abcdef.txt", b"x"), ("0123456789abcdef.json", b"{}")])
    with pytest.raises(ValueError, match="0123456789abcdef of a.tar"):
        list(read_shard(tmp_path / "a.tar"))


def test_an_unknown_extension_is_refused(tmp_path):
    with pytest.raises(ValueError, match="re-encode"):
        write_shard(tmp_path / "a.tar", [_samples()[1]._replace(extension="gif")])


def test_shards_are_listed_in_order_without_their_neighbours(tmp_path):
    for name in ("00002.tar", "00000.tar", "00001.parquet", ".00003.tar.1.part", "_SUCCESS"):
        (tmp_path / name).touch()
    assert [p.name for p in shard_paths(tmp_path)] == ["00000.tar", "00002.tar"]


def test_a_file_that_is_no_tar_is_named_with_the_next_move(tmp_path):
    (tmp_path / "00000.tar").write_bytes(b"junk" * 400)
    with pytest.raises(ValueError, match=r"00000\.tar is no whole tar .*; remove it and run"):
        next(read_shard(tmp_path / "00000.tar"))
