"""Threads that work ahead."""

import threading
import time

import pytest

from unclip_pipeline.scraping.ahead import work_ahead


@pytest.mark.parametrize("threads", [1, 5])
def test_every_item_has_one_result(threads):
    assert sorted(work_ahead(lambda n: n * n, range(50), threads, 2)) == [n * n for n in range(50)]


def test_no_items_are_no_results():
    assert list(work_ahead(str, [], 3, 3)) == []


def test_nobody_works_further_ahead_than_allowed():
    begun = []
    results = work_ahead(begun.append, range(100), 3, 2)
    next(results)
    time.sleep(0.1)
    assert len(begun) == 3 + 2
    assert len(list(results)) == 99


def test_a_fault_in_a_thread_is_raised_here():
    def fail(item: int) -> None:
        raise LookupError(f"item {item}")

    with pytest.raises(LookupError, match="item 0"):
        list(work_ahead(fail, range(3), 1, 1))


def test_a_taker_who_stops_waits_for_nobody():
    gate = threading.Event()
    results = work_ahead(lambda item: item and gate.wait(30), range(20), 4, 4)
    assert next(results) == 0
    began_s = time.monotonic()
    results.close()
    assert time.monotonic() - began_s < 1
    gate.set()
