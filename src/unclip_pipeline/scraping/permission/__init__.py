"""Whether an owner lets us ask for a URL, and keep what it answers: every signal read, every one recorded.

Unknown is not permission: `ScrapeConfig.when_unknown` says what happens where nobody said anything.
"""

from unclip_pipeline.scraping.permission.decision import Decision, PlainAnswer
from unclip_pipeline.scraping.permission.permission import Permission, page_decision

__all__ = ["Decision", "Permission", "PlainAnswer", "page_decision"]
