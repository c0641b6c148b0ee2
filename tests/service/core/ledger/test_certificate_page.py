"""The certificate as a page: complete, self-contained, and deaf to markup in what it shows."""

import dataclasses
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from service.core.ledger import certificate_page, claims

HOSTILE = "<script>alert('x')</script>\"&{model}"
CLAIM = claims.Claim(
    request="ab" * 32,
    model="digits",
    base_version=1,
    version=2,
    target=claims.Target("class", 108),
    method=claims.Method(
        "one_shot", "1.0.0", {"strength": 0.5}, 7, claims.Guarantee.APPROXIMATE, ("Needs codes.",)
    ),
    audit=claims.Audit(
        "suite-1", "pass", (claims.Check("membership_auc", 0.51234, 0.47, 0.55, 0.6, True, "540 samples"),)
    ),
    received_at=datetime(2026, 1, 31, 9, 5, tzinfo=UTC),
    completed_at=datetime(2026, 1, 31, 9, 6, tzinfo=UTC),
    files=(claims.File("model.safetensors", "cd" * 32),),
)


class Tags(HTMLParser):
    """Collects the tags and attributes of a page."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_page_shows_everything_a_reader_needs():
    page = certificate_page.to_html(CLAIM)

    for shown in (
        CLAIM.statement,
        CLAIM.request,
        "108 samples (class request)",
        "2026-01-31 09:05:00 UTC",
        "one_shot 1.0.0",
        "Needs codes.",
        "membership_auc",
        "0.5123",
        "0.47 to 0.55",
        "passed",
        "cd" * 32,
    ):
        assert shown in page


def test_page_fetches_nothing_and_runs_nothing():
    page = certificate_page.to_html(CLAIM)
    tags = Tags()
    tags.feed(page)

    assert not {tag for tag, _ in tags.found} & {"script", "link", "img", "iframe", "object", "a", "form"}
    assert not any(
        name.startswith("on") or name in ("src", "href") for _, attrs in tags.found for name in attrs
    )
    assert "default-src 'none'" in page
    assert not re.search(r"url\(|@import|https?:", page)


def test_markup_in_any_field_stays_text():
    hostile_check = claims.Check(HOSTILE, None, None, None, None, False, HOSTILE)
    hostile = dataclasses.replace(
        CLAIM,
        model=HOSTILE,
        target=claims.Target(HOSTILE, 1),
        method=dataclasses.replace(
            CLAIM.method, name=HOSTILE, version=HOSTILE, parameters={HOSTILE: HOSTILE}, caveats=(HOSTILE,)
        ),
        audit=claims.Audit(HOSTILE, HOSTILE, (hostile_check,)),
        files=(claims.File(HOSTILE, "cd" * 32),),
    )

    page = certificate_page.to_html(hostile)
    tags = Tags()
    tags.feed(page)

    assert "<script" not in page
    assert "script" not in {tag for tag, _ in tags.found}
    assert page.count("&lt;script&gt;") >= 10
    assert "{model}" in page


def test_number_that_was_not_measured_is_left_blank():
    half = claims.Check("half", 0.5, 0.25, None, None, True, "")
    page = certificate_page.to_html(
        dataclasses.replace(CLAIM, audit=claims.Audit("suite-1", "pass", (half,)))
    )

    assert '<td class="number">0.5</td><td class="number"></td><td class="number"></td>' in page
    assert "None" not in page


@pytest.mark.parametrize(
    ("role", "told"),
    [
        (claims.Role.GATE, "not passed"),
        (claims.Role.SHOWN, "shown only"),
        (claims.Role.UNDECIDED, "could not tell"),
    ],
)
def test_check_says_what_it_had_to_do_with_the_verdict(role, told):
    check = claims.Check("loss_attack", 0.7, 0.6, 0.8, 0.5, False, "", role)

    page = certificate_page.to_html(
        dataclasses.replace(CLAIM, audit=claims.Audit("suite-1", "pass", (check,)))
    )

    assert f"<td>{told}</td>" in page


def test_one_sample_is_singular():
    page = certificate_page.to_html(dataclasses.replace(CLAIM, target=claims.Target("samples", 1)))

    assert "1 sample (samples request)" in page


def test_suppressed_result_is_not_presented_as_more():
    masked = dataclasses.replace(
        CLAIM, method=dataclasses.replace(CLAIM.method, guarantee=claims.Guarantee.SUPPRESSED)
    )

    assert "output masked" in certificate_page.to_html(masked)
