"""Read statements about the use of content for AI.

`Content-Usage` is a dictionary of structured fields (RFC 9651) whose members answer `y` or `n`, in a header
or behind a path in robots.txt (draft-ietf-aipref-attach-05, draft-ietf-aipref-vocab-08). It is read strictly
as the draft says: what does not parse, a bare key and any value but those two tokens are unknown; the last
of a repeated key counts. Earlier drafts had other labels, and wider ones above them, which are heard where
a statement is silent about the training of models.

`Content-Signal` says yes or no to `ai-train` (draft-romm-aipref-contentsignals-00). It is no standard and
far more widespread, and leaves no doubt about what is meant.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from unclip_pipeline.scraping.answer import Evidence
from unclip_pipeline.scraping.permission.decision import evidence_of

USAGE, SIGNAL = "Content-Usage", "Content-Signal"
RULES = {USAGE: "aipref-attach-05/1", SIGNAL: "contentsignals-00/1"}
_WIDER = ("tdm", "all", "bots")  # vocab-00 to -05, from narrow to wide
_ANSWERS = {USAGE: {"y": "allowed", "n": "refused"}, SIGNAL: {"yes": "allowed", "no": "refused"}}

_TOKEN = r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*+"
_KEY = r"[a-z*][a-z0-9_\-.*]*+"
_BARE = (
    rf"(?:{_TOKEN}|-?\d{{1,12}}\.\d{{1,3}}(?!\d)|@?-?\d{{1,15}}(?![\d.])|\?[01]|:[A-Za-z0-9+/=]*+:"
    r'|"(?:[ !#-\[\]-~]|\\["\\])*"|%"(?:[ !#$&-~]|%[0-9a-f]{2})*")'
)
# Groups repeat plainly: before Python 3.11.5 a possessive group kept what it had matched in part.
_PARAMETERS = rf"(?:;[ ]*+{_KEY}(?:={_BARE})?)*"
_ITEM = rf"{_BARE}{_PARAMETERS}"
_LIST = rf"\([ ]*+(?:{_ITEM}(?:[ ]++|(?=\))))*\)"
_MEMBER = re.compile(rf"(?P<key>{_KEY})(?:=(?P<value>{_BARE}|{_LIST}))?{_PARAMETERS}", re.ASCII)
_COMMA = re.compile(r"[ \t]*+,[ \t]*+")
_PAIR = re.compile(r"\s*([a-z][a-z0-9_-]*)\s*=\s*([a-z]+)\s*", re.ASCII)


def dictionary(text: str) -> dict[str, str] | None:
    """Parse a structured-field dictionary; members keep their value as written, a bare key `?1`.

    Return None if it does not parse. Parameters are checked and dropped.
    """
    text = text.strip(" ")
    members: dict[str, str] = {}
    place = 0
    while place < len(text):
        member = _MEMBER.match(text, place)
        if member is None:
            return None
        members[member["key"]] = member["value"] or "?1"
        place = member.end()
        if place < len(text):
            comma = _COMMA.match(text, place)
            if comma is None or comma.end() == len(text):
                return None
            place = comma.end()
    return members


def usage_decision(kind: str, statement: str, usages: Sequence[str]) -> str:
    """Tell what a statement says about the usages that are ours: allowed, refused or unknown.

    One no refuses; without it, one yes allows (draft-ietf-aipref-vocab-08, 5.1).
    """
    members = (dictionary(statement) if kind == USAGE else _pairs(statement)) or {}
    for names in (usages, *((wider,) for wider in _WIDER)):
        answers = {_ANSWERS[kind].get(members.get(name, "")) for name in names}
        for answer in ("refused", "allowed"):
            if answer in answers:
                return answer
    return "unknown"


def header_evidence(
    where: str, values: dict[str, Iterable[str]], usages: Sequence[str]
) -> Iterator[Evidence]:
    """Read the headers of both kinds, given by kind; several of one kind are one statement."""
    for kind, rule in RULES.items():
        if statement := ", ".join(values.get(kind, ())):
            decision = usage_decision(kind, statement, usages)
            yield evidence_of("answer", where, kind, statement, decision, rule)


def _pairs(statement: str) -> dict[str, str]:
    """Parse `ai-train=no, search=yes`; parts that are no pair are left out."""
    pairs = (_PAIR.fullmatch(part) for part in statement.lower().split(","))
    return {pair[1]: pair[2] for pair in pairs if pair}
