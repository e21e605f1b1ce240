"""The second wall: whatever library a scraping thread uses, it connects to no address that is not public.

Python tells audit hooks the address that a socket is about to connect to, after all names, numbers and
redirects are resolved. A hook is for the life of the process; threads that do not scrape never notice it.
It does not see sockets that C code opens by itself: it stands behind the checks in `sockets`, not for them.
"""

import sys
import threading

from unclip_pipeline.scraping.addresses import as_address
from unclip_pipeline.scraping.wire import current_wire

_TO_AN_ADDRESS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_OTHER_WAYS = frozenset({"urllib.Request", "ftplib.connect", "subprocess.Popen", "os.system"})
_lock = threading.Lock()
_is_up = False


def raise_wall() -> None:
    """Put the wall up in this process, once."""
    global _is_up
    with _lock:
        if not _is_up:
            sys.addaudithook(_watch)
            _is_up = True


def _watch(event: str, arguments: tuple) -> None:
    if event in _TO_AN_ADDRESS:
        _check_address(arguments[1])
    elif event in _OTHER_WAYS and (wire := current_wire()) is not None:
        raise wire.blocked(f"asked for by {event}")


def _check_address(target: object) -> None:
    """Raise unless the thread does not scrape, or may go there; a name here is one that nobody has checked."""
    wire = current_wire()
    if wire is None or target is None:
        return
    address = as_address(target[0]) if isinstance(target, tuple) and isinstance(target[0], str) else None
    if address is None or not wire.may_connect(address):
        raise wire.blocked(target[0] if isinstance(target, tuple) else repr(target))
