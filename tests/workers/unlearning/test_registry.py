"""The folder scan finds every method, once, and describes it."""

import json

import pytest

from service.core.registry.policy import Policy
from workers.unlearning import parameters, registry
from workers.unlearning.errors import MethodClashError, UnknownMethodError
from workers.unlearning.methods.retrain import METHOD as RETRAIN

ANOTHER_RETRAIN = "from workers.unlearning.methods.retrain import METHOD\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Write a package of method files and return its name."""

    def write(name, **files):
        package = tmp_path / name
        package.mkdir()
        for module, text in {"__init__": "", **files}.items():
            (package / f"{module}.py").write_text(text)
        return name

    monkeypatch.syspath_prepend(tmp_path)
    return write


def test_the_methods_of_the_project_are_found():
    found = [*registry.discover()]

    assert {"one_shot", "retrain", "sisa", "ssd"} <= {*found}
    assert found == sorted(found)


def test_methods_of_further_packages_are_found():
    methods = registry.discover(registry.METHODS_PACKAGE, "tests.e2e.lying_methods")

    assert {"lying_mask", "lying_noop"} <= methods.keys()


def test_two_files_that_claim_one_name_are_refused_and_both_named(folder):
    package = folder("clashing_methods", copy=ANOTHER_RETRAIN)

    with pytest.raises(
        MethodClashError, match=r"methods\.retrain and clashing_methods\.copy both claim 'retrain'"
    ):
        registry.discover(registry.METHODS_PACKAGE, package)


def test_a_file_without_a_method_is_refused(folder):
    package = folder("stray_methods", shared="VALUE = 1\n")

    with pytest.raises(MethodClashError, match=r"stray_methods\.shared must expose METHOD"):
        registry.discover(package)


def test_an_unknown_method_is_refused_with_the_names_there_are():
    with pytest.raises(UnknownMethodError, match=r"\['retrain'\], got 'erase'"):
        registry.find({"retrain": RETRAIN}, "erase")


@pytest.mark.parametrize("name", registry.discover())
def test_a_catalogue_row_is_json_and_says_what_a_user_must_know(name):
    row = registry.describe(registry.discover()[name])

    assert json.loads(json.dumps(row)) == row
    assert row["name"] == name and row["summary"] and row["caveats"]
    assert row["guarantee"] in {"exact", "certified", "approximate", "suppressed"}
    assert {*row["kinds"]} <= {"class", "samples"} and row["kinds"]
    assert row["parameters"]["type"] == "object"
    assert row["experimental"] is None or row["experimental"].endswith(".")


def test_no_policy_tries_an_experimental_method_unasked():
    policy = Policy()

    tried = {*policy.class_ladder, *policy.samples_ladder}
    assert all(registry.discover()[name].experimental is None for name in tried)


def test_one_shot_warns_of_relapse_and_of_its_licence():
    caveats = " ".join(registry.discover()["one_shot"].caveats)

    assert "Relapses" in caveats and "patents" in caveats and "Class requests only" in caveats


@pytest.mark.parametrize("method", registry.discover().values(), ids=lambda method: method.name)
def test_every_setting_that_a_method_is_rehearsed_at_can_be_read(method):
    for kind in method.kinds:
        settings = parameters.rehearsed(method.Parameters, kind)
        assert settings
        for setting in settings:
            parameters.read(method.Parameters, setting)
