"""Write the miniature web: one archive of files per host, and the routes its server answers."""

import json
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from unclip_pipeline.corpus.files import atomic_folder
from unclip_pipeline.corpus.shards import tar_bytes
from unclip_pipeline.progress import progress
from unclip_pipeline.world import gallery
from unclip_pipeline.world.opt_outs import HOST_FILES
from unclip_pipeline.world.pictures import HTML_INSTEAD, Picture, picture_bytes
from unclip_pipeline.world.plan import Entry
from unclip_pipeline.world.scenes import WorldConfig

ROUTES = "routes.json"
PICTURES_PER_PAGE = 60
LATEST = 3  # pictures that the first page shows again
CONTENT_TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "html": "text/html", "txt": "text/plain",
    "json": "application/json",
}  # fmt: skip
_STATUS = {"status_404": 404, "status_403": 403, "status_410": 410, "status_500": 500}
_ROBOTS = "User-agent: *\nDisallow: /admin/\n"


class Route(NamedTuple):
    """How a host answers one path: a status, headers, and the bytes of a file of its archive."""

    status: int
    headers: list[tuple[str, str]]
    file: str | None


class Website(NamedTuple):
    """What lies on one host: files by name, answers by path."""

    files: dict[str, bytes]
    routes: dict[str, Route]


def write_website(entries: list[Entry], folder: Path, config: WorldConfig, *, workers: int = 2) -> None:
    """Render every picture and write the whole site, or nothing."""
    listed = {entry.url: entry for entry in entries if entry.fault != "refused"}
    pictures = [picture_of(entry, config) for entry in listed.values()]
    hosts: dict[str, Website] = defaultdict(lambda: Website({}, {}))
    for entry, content in zip(listed.values(), _rendered(pictures, workers), strict=True):
        _publish(hosts[urlsplit(entry.url).hostname], entry, content)
    elsewhere = list({entry.url: entry for entry in entries if entry.fault == "refused"}.values())
    with atomic_folder(folder) as unfinished:
        for host, site in hosts.items():
            own = [entry for entry in listed.values() if urlsplit(entry.url).hostname == host]
            _add_pages(site, own, elsewhere if host == min(hosts) else [])
            members = tar_bytes(unfinished / f"{host}.tar", site.files.items())
            places = {member.name: (member.offset, member.size) for member in members}
            answers = {
                path: [route.status, route.headers, *places.get(route.file, (0, 0))]
                for path, route in sorted(site.routes.items())
            }
            (unfinished / f"{host}.{ROUTES}").write_text(
                json.dumps({"port": config.port, "answers": answers})
            )


def picture_of(entry: Entry, config: WorldConfig) -> Picture:
    """Tell what the URL of an entry delivers."""
    transform = entry.transform if entry.transform != "exact" else None
    return Picture(entry.scene, config.side_px, entry.url[-3:], transform, entry.fault)


def _rendered(pictures: list[Picture], workers: int) -> Iterator[bytes]:
    """Render in processes that import nothing but Pillow and numpy."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from progress(
            pool.map(picture_bytes, pictures, chunksize=128), label="render", total=len(pictures), unit="img"
        )


def _publish(site: Website, entry: Entry, content: bytes) -> None:
    path = urlsplit(entry.url).path
    headers = [entry.signal] if entry.signal and entry.signal[0] not in HOST_FILES else []
    if entry.fault in _STATUS:
        site.routes[path] = Route(_STATUS[entry.fault], headers, None)
    elif entry.fault == "redirect_loop":
        around = path.replace("/pictures/", "/around/")
        site.routes[path] = Route(302, [*headers, ("Location", around)], None)
        site.routes[around] = Route(302, [*headers, ("Location", path)], None)
    else:
        target = path.replace("/old/", "/pictures/")
        if entry.redirected:
            site.routes[path] = Route(301, [*headers, ("Location", target)], None)
        kind = "html" if content == HTML_INSTEAD else path[-3:]
        _add_file(site, target, content, CONTENT_TYPES[kind], headers)


def _add_pages(site: Website, entries: list[Entry], elsewhere: list[Entry]) -> None:
    """Add the pages that show the pictures, as a visitor would find them; each picture has one caption.

    Pictures whose host forbids their use stand on pages that forbid it too.
    """
    willing = [entry for entry in entries if not entry.is_opted_out]
    unwilling = [entry for entry in entries if entry.is_opted_out]
    kinds = (
        (gallery.gallery_page, "gallery", willing),
        (gallery.no_use_page, "private", unwilling),
        (gallery.elsewhere_page, "elsewhere", elsewhere),
    )
    paths = []
    for write, room, shown in kinds:
        for number, start in enumerate(range(0, len(shown), PICTURES_PER_PAGE)):
            page = write(
                f"{room.title()}, page {number + 1}", shown[start : start + PICTURES_PER_PAGE], number
            )
            paths.append(f"/{room}/{number}.html")
            _add_page(site, paths[-1], page)
    _add_page(site, "/", gallery.home_page("A miniature web of drawings", willing[:LATEST], paths))
    _add_file(site, gallery.PIXEL_PATH, gallery.PIXEL, "image/gif", [])
    _add_rules(site, entries)


def _add_rules(site: Website, entries: list[Entry]) -> None:
    """Add the files in which a host speaks for all its pictures."""
    spoken = [(urlsplit(entry.url).path, *entry.signal) for entry in entries if entry.signal]
    lines = [value.format(path=path) for path, signal, value in spoken if signal == "robots.txt"]
    reserved = [
        {"location": path, "tdm-reservation": int(value)}
        for path, signal, value in spoken
        if signal == "tdmrep.json"
    ]
    robots = _ROBOTS + "".join(f"{line}\n" for line in sorted(lines))
    _add_file(site, "/robots.txt", robots.encode(), CONTENT_TYPES["txt"], [])
    _add_file(site, "/.well-known/tdmrep.json", json.dumps(reserved).encode(), CONTENT_TYPES["json"], [])


def _add_page(site: Website, path: str, page: gallery.PageFile) -> None:
    _add_file(site, path, page.content, None, page.headers)


def _add_file(
    site: Website, path: str, content: bytes, content_type: str | None, headers: list[tuple[str, str]]
) -> None:
    name = path[1:] or "index.html"
    site.files[name] = content
    kind = [("Content-Type", content_type)] if content_type else []
    site.routes[path] = Route(200, [*headers, *kind], name)
