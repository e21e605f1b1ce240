"""No stranger's host is asked by nobody."""

import pytest

from unclip_pipeline.scraping.config import ScrapeConfig
from unclip_pipeline.scraping.contact import check_contact, is_private_host, user_agent

OWN = ScrapeConfig(private_hosts=["127.0.0.1", "pictures.intern:8080", "[::1]:80"])


def test_the_user_agent_says_who_asks_and_who_answers_for_it():
    agent = user_agent(ScrapeConfig(contact="crawl@example.org"))
    assert agent.startswith("unclip_pipeline/") and agent.endswith(" (+crawl@example.org)")
    assert "+" not in user_agent(ScrapeConfig())


def test_a_list_of_own_hosts_needs_no_contact():
    check_contact(["http://127.0.0.1:8765/a", "http://pictures.intern:8080/b", "http://[::1]/c"], OWN)


def test_what_is_never_asked_needs_no_contact():
    check_contact(["file:///etc/passwd", "", "http://[::1", "no scheme"], OWN)


@pytest.mark.parametrize(
    "url", ["https://example.org/a.png", "http://pictures.intern/b", "http://127.0.0.2/"]
)
def test_a_stranger_needs_one(url):
    with pytest.raises(ValueError, match="scrape.contact must be set .*; set it to an e-mail address or URL"):
        check_contact(["http://127.0.0.1/a", url], OWN)


@pytest.mark.parametrize("contact", ["crawl@example.org", "https://example.org/crawler"])
def test_an_address_or_a_url_is_a_contact(contact):
    check_contact(["https://example.org/a.png"], ScrapeConfig(contact=contact))


@pytest.mark.parametrize("contact", ["me", "someone", "a b@c.d", "ftp://example.org", "x@y"])
def test_anything_else_is_not(contact):
    with pytest.raises(ValueError, match="must be an e-mail address or a URL, got"):
        check_contact([], ScrapeConfig(contact=contact))


def test_a_port_that_is_listed_is_the_only_one():
    assert is_private_host("a", 80, ["a"]) and is_private_host("a", 80, ["a:80"])
    assert not is_private_host("a", 81, ["a:80"]) and is_private_host("::1", 80, ["[::1]:80"])
