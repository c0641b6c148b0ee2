"""The folder scan finds every check, once."""

import pytest

from workers.audit import registry
from workers.audit.base import Gating
from workers.audit.errors import AuditError


def test_the_checks_of_the_suite_are_found():
    checks = registry.discover()

    assert [*checks] == [
        "entropy_attack",
        "finite",
        "forgetting",
        "loss_attack",
        "masking",
        "mean_drop",
        "membership",
        "neighbours",
        "no_op",
        "over_forgetting",
        "reference",
        "relapse",
        "relearning",
        "rescue",
        "svc_attack",
        "worst_class_drop",
    ]


def test_what_the_data_left_may_bring_about_spares_an_exact_claim():
    spared = {name for name, check in registry.discover().items() if check.gating is Gating.INEXACT_CLAIMS}

    assert spared == {"membership", "neighbours", "over_forgetting", "reference", "worst_class_drop"}


def test_the_attacks_of_papers_are_shown_and_decide_nothing():
    shown = {name for name, check in registry.discover().items() if check.gating is Gating.NO_CLAIM}

    assert shown == {"entropy_attack", "loss_attack", "svc_attack"}


def test_two_files_that_claim_one_name_are_refused(tmp_path, monkeypatch):
    package = tmp_path / "clashing_checks"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "copy.py").write_text("from workers.audit.checks.no_op import CHECK\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(AuditError, match=r"no_op and clashing_checks\.copy both claim 'no_op'"):
        registry.discover(registry.CHECKS_PACKAGE, "clashing_checks")
