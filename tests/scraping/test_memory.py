"""A worker's memory is bounded whatever bodies are in flight."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

from hostile_web import encoded, endless, hostile_web, message
from PIL import Image

NOISE = bytes(range(256)) * (31 * 4096)  # 31 MiB, which is no image
ANSWERS = {
    "noise": (lambda: message(200, NOISE), 12, "scrape.not_an_image"),
    "endless": (lambda: endless, 4, "scrape.too_large"),
    "gzip": (lambda: message(200, gzip.compress(bytes(2**28)), "Content-Encoding: gzip"), 4, "scrape.too_large"),
    "pixels": (lambda: message(200, encoded(Image.new("1", (20_000, 20_000)))), 2, "scrape.too_large"),
    "webp": (lambda: message(200, encoded(Image.new("L", (4000, 4000)), "WEBP", method=0)), 2, "scrape.too_large"),
    "large-png": (lambda: message(200, encoded(Image.new("RGB", (7000, 7000)), compress_level=1)), 1, "kept resized"),
    "large-jpg": (lambda: message(200, encoded(Image.new("RGB", (7000, 7000)), "JPEG")), 1, "kept resized"),
    "scans": (
        lambda: message(200, encoded(Image.new("RGB", (7000, 6500)), "JPEG", progressive=True, subsampling=0)),
        1, "scrape.too_large",
    ),
    "transparent": (
        lambda: message(200, encoded(Image.new("RGBA", (7000, 7000)), compress_level=1)),
        1, "kept alpha resized",
    ),
}  # fmt: skip


def test_hostile_bodies_in_flight_stay_below_600_mb():
    answers, paths, expected = {}, [], {}
    for name, (make, count, fate) in ANSWERS.items():
        answer = make()
        answers |= {f"/{name}/{n}": answer for n in range(count)}
        paths += [f"/{name}/{n}" for n in range(count)]
        expected[fate] = expected.get(fate, 0) + count
    with hostile_web(answers) as web:
        worker = Path(__file__).with_name("hostile_memory.py")
        command = [sys.executable, str(worker), "127.0.0.1", *map(web.url, paths)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(done.stdout)
    assert found["fates"] == expected
    assert 100 < found["peak_mb"] < 600
