"""The ways in which the owners of the miniature web say no, and words that sound like it."""

HOST_FILES = ("robots.txt", "tdmrep.json")  # say for a whole host what other signals say in one answer
OPT_OUTS = (  # signal and value; `{path}` is that of the picture
    ("X-Robots-Tag", "noai"),
    ("robots.txt", "Disallow: {path}"),
    ("X-Robots-Tag", "noindex, NOIMAGEAI"),
    ("tdm-reservation", "1"),
    ("X-Robots-Tag", "unavailable_after: 25 Jun 2010 15:00:00 PST, noai"),
    ("Content-Usage", "search=y, train-ai=n"),
    ("X-Robots-Tag", "NoAI"),
    ("tdmrep.json", "1"),
    ("X-Robots-Tag", "noimageai"),
    ("robots.txt", "Content-Usage: {path} train-ai=n"),
    ("X-Robots-Tag", "noai, noimageai"),
)
NO_OPT_OUTS = (  # say nothing to us, or yes
    ("X-Robots-Tag", "noindex"),
    ("X-Robots-Tag", "nofollow, noarchive"),
    ("X-Robots-Tag", "otherbot: noai"),
    ("tdm-reservation", "0"),
    ("Content-Usage", "train-ai=y, search=n"),
    ("robots.txt", "Allow: {path}"),
)
