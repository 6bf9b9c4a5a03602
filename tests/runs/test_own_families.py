"""Families of a user's own: by class or file, refused in words, and never run by opening a run."""

import contextlib
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from tests.example_family.duel import Duel

import simulacra
from simulacra import families
from simulacra.core.errors import SimulacraError, UsageError
from simulacra.families.cyclegan import CycleGAN
from simulacra.interfaces.cli import main
from simulacra.runs.own_families import COPY, add_family, load_family, name_of

pytestmark = pytest.mark.usefixtures("no_added_families")

SOURCE = (Path(__file__).parents[1] / "example_family" / "duel.py").read_text()
TRAINING = ("--data", "digits", "--for", "2", "--batch", "16", "--snapshots", "1", "--threads", "1")


def command(*words):
    return main([str(word) for word in words])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "duel.py"
    path.write_text(SOURCE)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cache):
    """A run of a family of a file; do not change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(cache))
        patch.setattr(families, "_added", {})
        folder = tmp_path_factory.mktemp("own")
        (folder / "duel.py").write_text(SOURCE)
        assert command("train", "--family-file", folder / "duel.py", *TRAINING, "--out", folder / "run") == 0
    return folder / "run"


def test_a_family_is_named_after_its_class():
    assert name_of(Duel) == "duel"
    assert add_family(Duel) == "duel"
    assert families.find("duel") is Duel


def test_a_run_records_the_file_with_its_digest_and_keeps_a_copy(trained):
    facts = json.loads((trained / "provenance.json").read_text())["own_family"]
    assert facts["name"] == "duel"
    assert facts["class"] == "Duel"
    assert facts["file"] == str(trained.parent / "duel.py")
    assert len(facts["sha256"]) == 64
    assert (trained / COPY).read_text() == SOURCE


def test_without_the_file_a_run_is_refused_with_the_file_that_it_needs(trained, capsys):
    with pytest.raises(UsageError, match=rf"family duel.*duel\.py.*--family-file {re.escape(str(trained / COPY))}"):
        simulacra.open(trained)
    for words in (("sample", trained), ("evaluate", trained), ("resume", trained), ("compare", trained, trained.parent)):
        assert command(*words) == UsageError.exit_code
        assert "--family-file" in capsys.readouterr().err


def test_with_the_file_every_command_opens_the_run(trained, tmp_path, capsys):
    flag = ("--family-file", trained / COPY)
    assert command("sample", trained, "--count", 2, "--out", tmp_path / "samples.png", *flag) == 0
    assert command("watch", trained, "--json", *flag) == 0
    assert command("resume", trained, *flag) == 0
    with pytest.raises(SystemExit) as end:
        command("train", "duel", "--help", f"--family-file={trained / COPY}")
    assert end.value.code == 0
    assert "--width" in capsys.readouterr().out


def test_opening_a_run_never_runs_its_code(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    marker = tmp_path / "was-run"
    (run / COPY).write_text(f"open({str(marker)!r}, 'w').close()\n{SOURCE}")
    for words in (("sample", run), ("evaluate", run), ("watch", run), ("sample", run, "--help")):
        with contextlib.suppress(SystemExit):
            command(*words)
    with pytest.raises(UsageError):
        simulacra.open(run)
    assert not marker.exists()
    simulacra.open(run, family=run / COPY, quiet=True)
    assert marker.exists()


def test_another_file_than_that_of_the_training_is_named_in_a_warning(trained, tmp_path, capsys):
    changed = tmp_path / "duel.py"
    changed.write_text(SOURCE + "\n# changed\n")
    assert command("sample", trained, "--count", 2, "--out", tmp_path / "samples.png", "--family-file", changed) == 0
    assert "duel is not that of the training" in capsys.readouterr().err


def test_a_class_from_python_opens_again_as_a_class_and_as_a_file(tmp_path, capsys):
    model = simulacra.train(Duel, duration="2", batch=16, threads=1, out=tmp_path / "run", quiet=True)
    assert model.run.provenance["own_family"]["file"].endswith("duel.py")
    assert simulacra.open(tmp_path / "run", family=Duel, quiet=True).sample(2).shape == (2, 1, 8, 8)
    assert command("sample", tmp_path / "run", "--count", 2, "--family-file", tmp_path / "run" / COPY) == 0
    assert "warning" not in capsys.readouterr().err


def test_a_class_without_a_file_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(Duel, "__module__", "__main__")
    simulacra.train(Duel, duration="2", batch=16, threads=1, out=tmp_path / "run", quiet=True)
    monkeypatch.setattr(families, "_added", {})
    with pytest.raises(UsageError, match="given as a class: give it as family="):
        simulacra.open(tmp_path / "run")


def test_loading_a_file_twice_gives_one_class_and_weights_that_do_not_change(file):
    file.write_text(SOURCE + "\nWEIGHTS = torch.rand(3)\n")
    first = load_family(file)
    drawn = vars(sys.modules[first.__module__])["WEIGHTS"]
    assert load_family(file) is first
    del sys.modules[first.__module__]
    again = load_family(file)
    assert again is not first
    assert drawn.equal(vars(sys.modules[again.__module__])["WEIGHTS"])


CLASH = SOURCE.replace("width: int", "batch: int")
REFUSED = {
    "has a syntax error": ("class Duel(:\n", r"fails in line 1: SyntaxError"),
    "raises": (SOURCE + "\n\nraise RuntimeError('no')\n", rf"fails in line {SOURCE.count(chr(10)) + 3}: RuntimeError: no"),
    "imports what is not there": ("import nowhere\n", r"fails in line 1: ModuleNotFoundError"),
    "ends the program": ("raise SystemExit(3)\n", r"fails in line 1: SystemExit"),
    "defines no family": ("from simulacra.families.vae import VAE\n", r"one subclass of Family, and this one defines none"),
    "defines two families": (SOURCE + "\n\nclass Other(Duel):\n    pass\n", r"this one defines Duel, Other"),
    "lacks a method": (SOURCE.replace("def turns", "def rounds"), r"Duel lacks turns"),
    "has a taken name": (SOURCE.replace("class Duel(", "class VAE("), r"has the name vae, which is taken: rename the class"),
    "has a setting of the training": (CLASH, r"has the setting batch, which data and training have too"),
    "has a setting without a default": (
        SOURCE.replace('= option(16, "hidden units of both networks", low=1)', ""),
        r"no default",
    ),
    "has a Config that is none": (
        SOURCE.replace("Config = DuelConfig", "Config = dict"),
        r"its Config is <class 'dict'>, expected",
    ),
    "has unknown domains": (
        SOURCE.replace('summary = "two', 'domains = ("x", "y")\n    summary = "two'),
        r"domains of a family are",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_file_is_refused_with_the_reason_where_it(what, file, capsys):
    source, reason = REFUSED[what]
    file.write_text(source)
    with pytest.raises(UsageError, match=reason):
        load_family(file)
    assert command("train", "duel", "--family-file", file) == UsageError.exit_code
    assert re.search(reason, capsys.readouterr().err)


def test_a_file_that_cannot_be_read_or_is_given_as_a_name_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read the family file .*missing\.py: No such file"):
        load_family(tmp_path / "missing.py")
    with pytest.raises(UsageError, match=r"--family-file duel\.py"):
        families.find("duel.py")


def test_players_that_do_not_hold_every_parameter_are_refused(file, tmp_path):
    file.write_text(SOURCE.replace('{"critic": self.critic, "generator": self.generator}', '{"critic": self.critic}'))
    with pytest.raises(UsageError, match="the players of Duel must be disjoint and contain every trainable parameter"):
        simulacra.train(file, duration="2", batch=16, threads=1, out=tmp_path / "run", quiet=True)


def test_a_class_of_the_package_keeps_its_name_and_other_values_are_refused():
    assert add_family(CycleGAN) == "cyclegan"
    with pytest.raises(UsageError, match="the class int is no family"):
        add_family(int)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="family is a Linear, expected a name, a class, or the path of a file"):
        simulacra.train(torch.nn.Linear(2, 2))  # type: ignore[arg-type]


@pytest.mark.parametrize("facts", [[], {"name": "duel"}, {"name": 3, "file": None, "sha256": None}])
def test_damaged_facts_of_a_family_are_reported(trained, tmp_path, facts):
    (tmp_path / "config.toml").write_text((trained / "config.toml").read_text())
    provenance = json.loads((trained / "provenance.json").read_text()) | {"own_family": facts}
    (tmp_path / "provenance.json").write_text(json.dumps(provenance))
    with pytest.raises(SimulacraError, match=r"provenance\.json is damaged"):
        simulacra.open(tmp_path)
