"""Every way a URL can end, against a server that does its worst."""

import gzip
import io
import zlib
from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hostile_web import (
    HostileWeb,
    drip,
    drip_head,
    encoded,
    endless,
    endless_head,
    hostile_web,
    in_turn,
    message,
    picture,
    reset,
    stall,
)
from PIL import Image

from unclip_pipeline.corpus.fates import check_fates
from unclip_pipeline.corpus.images import decode_rgb
from unclip_pipeline.corpus.shards import read_shard, shard_paths
from unclip_pipeline.engines import EngineConfig, map_shards
from unclip_pipeline.scraping import ScrapeConfig, scrape

PNG = encoded(picture())
JPG = encoded(picture(), "JPEG", quality=90)
OK = partial(message, 200)
NOBODY = pd.DataFrame(columns=["kind", "value", "reason"])
CONFIG = ScrapeConfig(
    threads=32, timeout_s=0.8, total_timeout_s=2.5, retries=1, max_bytes=200_000, max_pixels=1_000_000,
    min_side_px=8, max_side_px=64, max_redirects=3, shard_size=1000,
    private_hosts=["127.0.0.1"], per_host_connections=32,
)  # fmt: skip


def _robots(*values: str) -> bytes:
    return OK(PNG, *(f"X-Robots-Tag: {value}" for value in values))


def _redirect(location: str, *headers: str) -> bytes:
    return message(302, b"", f"Location: {location}", *headers)


def _rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture().crop((0, 0, 24, 12)), "JPEG", exif=exif)


def _animated() -> bytes:
    return encoded(picture(), "GIF", save_all=True, append_images=[picture(1)])


def _corrupt(png: bytes) -> bytes:
    middle = len(png) // 2
    return png[:middle] + bytes(255 - byte for byte in png[middle : middle + 40]) + png[middle + 40 :]


SIXTEEN_BITS = Image.fromarray(np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16))

CASES: dict[str, tuple[object, str]] = {
    "/png": (OK(PNG), "kept"),
    "/jpg": (OK(JPG), "kept"),
    "/webp": (OK(encoded(picture(), "WEBP")), "kept"),
    "/gif": (OK(encoded(picture(), "GIF")), "kept"),
    "/bmp": (OK(encoded(picture(), "BMP")), "kept"),
    "/avif": (OK(encoded(picture(), "AVIF")), "kept"),
    "/tiff": (OK(encoded(picture(), "TIFF")), "kept"),
    "/palette": (OK(encoded(picture().quantize(8))), "kept"),
    "/cmyk": (OK(encoded(picture().convert("CMYK"), "JPEG")), "kept"),
    "/sixteen-bits": (OK(encoded(SIXTEEN_BITS)), "kept"),
    "/transparent": (OK(encoded(Image.new("RGBA", (20, 20), (9, 9, 9, 9)))), "kept"),
    "/rotated": (OK(_rotated()), "kept"),
    "/large": (OK(encoded(picture(side_px=300))), "kept"),
    "/large-and-transparent": (OK(encoded(Image.new("RGBA", (200, 100)))), "kept"),
    "/grey": (OK(encoded(picture().convert("L"))), "kept"),
    "/grey-and-transparent": (OK(encoded(Image.new("LA", (20, 20), (9, 9)))), "kept"),
    "/animated": (OK(_animated()), "kept"),
    "/long": (OK(encoded(picture().resize((6000, 20)))), "kept"),
    "/one-pixel": (OK(encoded(picture(side_px=1))), "scrape.too_small"),
    "/png-again": (OK(PNG), "kept"),
    "/mislabelled": (OK(JPG, "Content-Type: text/html"), "kept"),
    "/gzipped": (OK(gzip.compress(PNG), "Content-Encoding: gzip"), "kept"),
    "/deflated": (OK(zlib.compress(PNG), "Content-Encoding: deflate"), "kept"),
    "/without-length": (b"HTTP/1.0 200 OK\r\n\r\n" + PNG, "kept"),
    "/chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        + b"%x\r\n%s\r\n0\r\n\r\n" % (len(PNG), PNG),
        "kept",
    ),
    "/%C3%A9.png": (OK(PNG), "kept"),
    "/a%20b.png": (OK(PNG), "kept"),
    "/not-found": (message(404, PNG), "scrape.http_404"),
    "/forbidden": (message(403, b""), "scrape.http_403"),
    "/gone": (message(410, b"x"), "scrape.http_410"),
    "/busy": (message(429, b"x"), "scrape.http_429"),
    "/broken": (message(500, b"x" * 100_000), "scrape.http_500"),
    "/unchanged": (message(304, b""), "scrape.http_304"),
    "/forbidden-and-opted-out": (message(403, b"", "X-Robots-Tag: noai"), "scrape.http_403"),
    "/strange-status": (message(999, b""), "scrape.connection_error"),
    "/html": (OK(b"<!doctype html><p>moved", "Content-Type: image/png"), "scrape.not_an_image"),
    "/svg": (OK(b'<svg xmlns="http://www.w3.org/2000/svg"/>'), "scrape.not_an_image"),
    "/noise": (OK(bytes(range(256)) * 8), "scrape.not_an_image"),
    "/postscript": (OK(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "scrape.not_an_image"),
    "/empty": (OK(b""), "scrape.empty"),
    "/no-content": (message(204, b""), "scrape.empty"),
    "/cut-png": (OK(PNG[: len(PNG) // 2]), "scrape.truncated"),
    "/cut-jpg": (OK(JPG[: len(JPG) // 2]), "scrape.truncated"),
    "/cut-webp": (OK(encoded(picture(), "WEBP")[:80]), "scrape.truncated"),
    "/cut-on-the-wire": (OK(PNG, length=len(PNG) + 50), "scrape.truncated"),
    "/cut-chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n" + PNG, "scrape.truncated"),
    "/corrupt-png": (OK(_corrupt(PNG)), "scrape.decode_error"),
    "/broken-gzip": (OK(PNG, "Content-Encoding: gzip"), "scrape.decode_error"),
    "/gzip-bomb": (OK(gzip.compress(bytes(5_000_000)), "Content-Encoding: gzip"), "scrape.too_large"),
    "/announced-too-large": (OK(PNG, length=10**9), "scrape.too_large"),
    "/endless": (endless, "scrape.too_large"),
    "/pixel-bomb": (OK(encoded(Image.new("1", (4000, 4000)))), "scrape.too_large"),
    "/bomb": (OK(encoded(Image.new("1", (20_000, 20_000)))), "scrape.too_large"),
    "/tiny": (OK(encoded(picture(side_px=7))), "scrape.too_small"),
    "/moved": (_redirect("/png"), "kept"),
    "/moved-to-text-that-is-not-ascii": (_redirect("/é.png"), "kept"),
    "/moved-nowhere": (message(302, b""), "scrape.http_302"),
    "/loop": (_redirect("/loop"), "scrape.redirect_loop"),
    "/ping": (_redirect("/pong"), "scrape.redirect_loop"),
    "/pong": (_redirect("/ping"), "scrape.redirect_loop"),
    "/far-1": (_redirect("/far-2"), "scrape.redirect_loop"),
    "/far-2": (_redirect("/far-3"), "kept"),
    "/far-3": (_redirect("/far-4"), "kept"),
    "/far-4": (_redirect("/png"), "kept"),
    "/moved-to-file": (_redirect("file:///etc/passwd"), "scrape.bad_url"),
    "/moved-to-data": (_redirect("data:image/png;base64,AAAA"), "scrape.bad_url"),
    "/moved-to-ftp": (_redirect("ftp://127.0.0.1/a.png"), "scrape.bad_url"),
    "/moved-and-opted-out": (_redirect("/png", "X-Robots-Tag: noai"), "scrape.opted_out"),
    "/stall": (stall, "scrape.timeout_total"),
    "/drip": (drip, "scrape.timeout_total"),
    "/not-http": (b"SSH-2.0-OpenSSH\r\n", "scrape.connection_error"),
    "/hang-up": (b"", "scrape.connection_error"),
    "/too-many-headers": (OK(PNG, *(f"A{n}: b" for n in range(200))), "scrape.connection_error"),
    "/flaky": (in_turn(message(503, b""), OK(PNG)), "kept"),
    "/flaky-line": (in_turn(b"", OK(PNG)), "kept"),
    "/noai": (_robots("noai"), "scrape.opted_out"),
    "/NoImageAI": (_robots("NoImageAI"), "scrape.opted_out"),
    "/noml": (_robots("noarchive, noml"), "scrape.opted_out"),
    "/none": (_robots("none"), "scrape.opted_out"),
    "/second-header": (_robots("nofollow", "noai"), "scrape.opted_out"),
    "/for-everyone": (_robots("*: noai"), "scrape.opted_out"),
    "/for-us": (_robots("Unclip_Pipeline: noai"), "scrape.opted_out"),
    "/for-us-hyphen": (_robots("unclip-pipeline/1.0: nofollow, noai"), "scrape.opted_out"),
    "/after-a-date": (_robots("unavailable_after: 25 Jun 2010 15:00:00 PST, noai"), "scrape.opted_out"),
    "/after-a-comma-date": (_robots("unavailable_after: Fri, 25-Jun-10 15:00 UTC, noai"), "scrape.opted_out"),
    "/after-a-number": (_robots("max-snippet: 20, noai"), "scrape.opted_out"),
    "/before-a-date": (_robots("noai, unavailable_after: 25 Jun 2010 15:00:00 PST"), "scrape.opted_out"),
    "/for-another": (_robots("otherbot: noai"), "kept"),
    "/for-another-after-all": (_robots("noai, otherbot: nofollow"), "scrape.opted_out"),
    "/reserved": (OK(PNG, "tdm-reservation: 1"), "scrape.opted_out"),
    "/no-training": (OK(PNG, "Content-Usage: train-ai=n"), "scrape.opted_out"),
    "/not-reserved": (OK(PNG, "tdm-reservation: 0"), "kept"),
    "/disallowed/by/robots.png": (OK(PNG), "scrape.opted_out"),
    "/moved-to-another-port": (_redirect("http://127.0.0.1:1/a.png"), "scrape.connection_error"),
    "/moved-to-a-private-address": (_redirect("http://10.0.0.1/a.png"), "scrape.blocked_private_address"),
    "/moved-to-metadata": (_redirect("http://169.254.169.254/latest/"), "scrape.blocked_private_address"),
    "/moved-to-a-number": (_redirect("http://2130706433/a.png"), "scrape.blocked_private_address"),
    "/moved-to-localhost": (_redirect("http://localhost/a.png"), "scrape.blocked_private_address"),
    "/drip-head": (drip_head, "scrape.timeout_total"),
    "/endless-head": (endless_head, "scrape.connection_error"),
    "/reset": (reset, "scrape.connection_error"),
    "/no-preview": (_robots("max-image-preview: none"), "kept"),
    "/no-index": (_robots("noindex, nofollow"), "kept"),
}  # fmt: skip
NEVER_ASKED = [
    "file:///etc/passwd", "data:image/png;base64,AAAA", "ftp://127.0.0.1/a.png", "", "no scheme", "http://",
    "http://[::1", "//127.0.0.1/x.png", "javascript:alert(1)", "http://127.0.0.1:99999/x.png",
]  # fmt: skip


@pytest.fixture(scope="module")
def scraped(tmp_path_factory) -> Iterator[tuple[HostileWeb, pd.DataFrame, dict]]:
    folder = tmp_path_factory.mktemp("hostile") / "shards"
    rules = {"/robots.txt": OK(b"User-agent: *\nDisallow: /disallowed/")}
    with hostile_web({path: answer for path, (answer, _) in CASES.items()} | rules) as web:
        urls = [web.url(path) for path in CASES] + [web.url("/é.png"), web.url("/a b.png")] + NEVER_ASKED
        urls += ["http://127.0.0.1:1/refused.png"]
        url_list = pd.DataFrame({"url": urls, "caption": [f"caption {n}" for n in range(len(urls))]})
        result = scrape(
            url_list,
            NOBODY,
            folder,
            folder.with_name("records"),
            CONFIG,
            partial(map_shards, engine=EngineConfig(processes=1)),
        )
        samples = {sample.uid: sample for shard in shard_paths(folder) for sample in read_shard(shard)}
        yield web, result.ledger.set_index("url"), samples


@pytest.mark.parametrize("path", CASES)
def test_every_answer_has_its_fate(scraped, path):
    web, ledger, _ = scraped
    row = ledger.loc[web.url(path)]
    assert row["fate"] == CASES[path][1], row["error"]


@pytest.mark.parametrize("url", NEVER_ASKED)
def test_what_is_no_web_address_is_never_asked_for(scraped, url):
    assert scraped[1].loc[url, "fate"] == "scrape.bad_url"


def test_a_refused_connection_is_one(scraped):
    row = scraped[1].loc["http://127.0.0.1:1/refused.png"]
    assert row["fate"] == "scrape.connection_error" and "refused" in row["error"]


@pytest.mark.parametrize("path", ["/é.png", "/a b.png"])
def test_addresses_are_spelled_for_the_wire(scraped, path):
    web, ledger, _ = scraped
    assert ledger.loc[web.url(path), "fate"] == "kept"


def test_exactly_the_kept_rows_have_an_image_that_decodes(scraped):
    _, ledger, samples = scraped
    kept = ledger[ledger["fate"] == "kept"]
    assert set(samples) == set(kept["uid"])
    for row in kept.itertuples():
        assert decode_rgb(samples[row.uid].image).shape == (row.height, row.width, 3)
        assert samples[row.uid].caption == row.caption


@pytest.mark.parametrize("path", ["/png", "/jpg", "/webp", "/palette", "/mislabelled"])
def test_images_that_a_shard_can_hold_are_kept_as_fetched(scraped, path):
    web, ledger, samples = scraped
    assert CASES[path][0].endswith(samples[ledger.loc[web.url(path), "uid"]].image)


@pytest.mark.parametrize(
    "path",
    [
        "/gif",
        "/bmp",
        "/avif",
        "/tiff",
        "/large",
        "/large-and-transparent",
        "/cmyk",
        "/sixteen-bits",
        "/transparent",
    ],
)
def test_other_images_are_encoded_again_within_the_largest_side(scraped, path):
    web, ledger, samples = scraped
    sample = samples[ledger.loc[web.url(path), "uid"]]
    source = Image.open(io.BytesIO(CASES[path][0].partition(b"\r\n\r\n")[2]))
    assert (
        sample.extension == "jpg"
        and (sample.meta["source_width"], sample.meta["source_height"]) == source.size
    )
    scale = min(1.0, CONFIG.max_side_px / max(source.size))
    assert (sample.meta["width"], sample.meta["height"]) == tuple(round(side * scale) for side in source.size)


def test_a_large_transparent_image_lands_on_white(scraped):
    web, ledger, samples = scraped
    assert decode_rgb(samples[ledger.loc[web.url("/large-and-transparent"), "uid"]].image).min() >= 254


def test_only_what_may_pass_is_asked_again(scraped):
    hits = scraped[0].hits
    once = [
        "/not-found",
        "/forbidden",
        "/gone",
        "/noai",
        "/html",
        "/cut-png",
        "/empty",
        "/announced-too-large",
    ]
    twice = ["/busy", "/broken", "/cut-on-the-wire", "/hang-up", "/flaky", "/flaky-line"]
    assert {path: hits[path] for path in once} == dict.fromkeys(once, 1)
    assert {path: hits[path] for path in twice} == dict.fromkeys(twice, 2)


def test_an_opt_out_keeps_its_evidence_and_no_bytes(scraped):
    web, ledger, _ = scraped
    row = ledger.loc[web.url("/after-a-date")]
    assert (
        "25 Jun 2010 15:00:00 PST, noai" in row["error"] and pd.isna(row["sha256"]) and pd.isna(row["bytes"])
    )


def test_the_user_agent_says_who_we_are(scraped):
    (agent,) = scraped[0].agents
    assert agent.startswith("unclip_pipeline/") and "Mozilla" not in agent


def test_every_fate_is_of_the_closed_vocabulary_and_has_its_status(scraped):
    web, ledger, _ = scraped
    check_fates(ledger["fate"])
    assert ledger.loc[web.url("/busy"), "http_status"] == 429
    assert ledger.loc[web.url("/html"), "http_status"] == 200
    assert pd.isna(ledger.loc[web.url("/hang-up"), "http_status"])


@pytest.mark.parametrize(
    "path, flags",
    [
        ("/png", ""), ("/palette", ""), ("/grey", ""), ("/animated", "animated"), ("/cmyk", "cmyk"),
        ("/rotated", "rotated"), ("/sixteen-bits", "sixteen_bit"), ("/transparent", "alpha"),
        ("/grey-and-transparent", "alpha"), ("/mislabelled", "mislabelled"), ("/large", "resized"),
        ("/large-and-transparent", "alpha,resized"), ("/long", "resized"),
    ],
)  # fmt: skip
def test_odd_pictures_are_flagged(scraped, path, flags):
    web, ledger, _ = scraped
    assert ledger.loc[web.url(path), "flags"] == flags


def test_a_rotated_picture_is_stored_upright(scraped):
    web, ledger, samples = scraped
    stored = Image.open(io.BytesIO(samples[ledger.loc[web.url("/rotated"), "uid"]].image))
    assert stored.size == (12, 24) and not stored.getexif()


def test_what_robots_txt_forbids_is_never_asked_for(scraped):
    web, ledger, _ = scraped
    assert web.hits["/disallowed/by/robots.png"] == 0 and web.rule_hits["/robots.txt"] == 1


def test_the_same_bytes_of_two_urls_have_one_name(scraped):
    web, ledger, _ = scraped
    assert ledger.loc[web.url("/png"), "sha256"] == ledger.loc[web.url("/png-again"), "sha256"]
