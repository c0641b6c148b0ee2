"""Evidence for programs, a page for browsers."""

import pytest

from service.api.accept import preferred, prefers_html

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("accept", ["text/html", BROWSER, "TEXT/HTML", "application/json;q=0.5, text/html"])
def test_a_browser_gets_the_page(accept: str):
    assert prefers_html(accept)


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "text/*", "application/vnd.in-toto+json", "text/html;q=0", "text/html;q=no",
     "application/vnd.in-toto+json, text/html;q=0.5"],
)  # fmt: skip
def test_anyone_else_gets_the_envelope(accept: str):
    assert not prefers_html(accept)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "a/json"),
        ("*/*", "a/json"),
        (BROWSER, "text/html"),
        ("a/svg, text/html;q=0.9", "a/svg"),
        ("a/svg;q=0.1", "a/svg"),
        ("a/svg;q=0, text/html;q=no", "a/json"),
        ("text/html, a/json", "a/json"),
    ],
)
def test_the_form_that_ranks_highest_is_preferred(accept: str, form: str):
    assert preferred(accept, ("a/json", "text/html", "a/svg")) == form
