"""Ask each origin once for its rules, and apply them to every URL of it."""

from collections.abc import Callable

from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.permission.decision import Decision, PlainAnswer


class Permission:
    """One per process; its methods may be called from many threads."""

    def __init__(self, config: ScrapeConfig, get: Callable[[str], PlainAnswer]) -> None:
        self._config = config
        self._get = get

    def may_ask(self, url: str) -> Decision:
        """Decide by the rules of a URL's origin; the first URL of an origin fetches them."""
        return Decision((), is_refused=False)

    def may_follow(self, url: str, headers: list[tuple[str, str]], so_far: Decision) -> Decision:
        """Decide by the headers of a redirect: a refusal ends the way, silence does not."""
        return so_far

    def may_keep(self, url: str, headers: list[tuple[str, str]], so_far: Decision) -> Decision:
        """Decide by an answer's headers and by all that was known before, under the policy."""
        return so_far
