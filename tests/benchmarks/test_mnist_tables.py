"""The tables and figures of the one-shot paper come out of generated files, from the command line on."""

import sys

import pytest

from benchmarks import fisher_figures, mnist_tables
from tests.fixtures.image_folders import write_mnist
from workers.unlearning import registry


@pytest.fixture
def arguments(tmp_path):
    write_mnist(tmp_path)
    return ["--data", str(tmp_path), "--cache", str(tmp_path / "cache"), "--epochs", "3", "--small"]


def test_the_tables_name_every_method_and_the_mask_never_passes(arguments, monkeypatch, capsys):
    few = {name: registry.find(registry.discover(), name) for name in ("one_shot", "ssd")}
    monkeypatch.setattr(registry, "discover", lambda: few)  # each is audited, which takes its time
    monkeypatch.setattr(mnist_tables, "SIZES", (1,))
    monkeypatch.setattr(sys, "argv", ["mnist_tables", *arguments, "--relapse", "0"])

    with pytest.raises(SystemExit) as ended:
        mnist_tables.main()

    out = capsys.readouterr().out
    table = out[out.index("1 class forgotten") : out.index("A_R / E_F of each class")]
    rows = {line.split()[0]: line for line in table.splitlines()[2:] if line}
    assert ended.value.code == 0
    assert {"retrain", "one_shot", "ssd", "paper_rule", "fine_tune", "mask"} <= rows.keys()
    assert "100.0 [100.0, 100.0] (100.0)" in rows["mask"]
    assert "figure mnist_one_shot_error value=" in out
    refusals = out[out.index("what the audit refused") :]
    assert any(line.startswith("mask") and "masking" in line for line in refusals.splitlines())


def test_both_figures_are_drawn(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fisher_figures, "SIZES", (1, 10))
    monkeypatch.setattr(sys, "argv", ["fisher_figures", *arguments, "--out", str(tmp_path / "images")])

    with pytest.raises(SystemExit):
        fisher_figures.main()

    drawn = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert drawn == ["one-shot-mnist-distance.png", "one-shot-mnist-forgetting.png"]
    table = capsys.readouterr().out
    everything = next(line for line in table.splitlines() if line.startswith("all "))
    assert everything.split()[-2:] == ["0.00e+00", "1.000"]
