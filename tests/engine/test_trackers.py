"""Trackers: what they receive, that their failures do not stop a training, and what the real ones store."""

import shutil
import sys
import threading
import time
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from tests.recording import Listener

import simulacra
from simulacra.core.errors import UsageError
from simulacra.engine import trackers
from simulacra.engine.reports import Reports
from simulacra.engine.settings import TrainConfig
from simulacra.engine.trackers import BackgroundTracker
from simulacra.interfaces.cli import main
from simulacra.runs.settings import resolve
from simulacra.training.train import resume, train

REPOSITORY = Path(simulacra.__file__).parents[2]
LENGTHS = {"duration": "12", "batch": 64, "snapshots": 2, "log_every": 4, "checkpoint_every": "6"}
RECIPE = {
    "family": "vae",
    "preset": "dense",
    "data": {"data": "digits"},
    "model": {"hidden": (8,), "latent_dim": 2},
    "train": {**LENGTHS, "threads": 1, "device": "cpu"},
}
FAKE = """
class Fake:
    package = ""
    calls = []
    def start(self, settings, folder, step): self.record("start", settings, folder, step)
    def scalars(self, step, values): self.record("scalars", step, values)
    def image(self, step, name, path): self.record("image", step, name, path)
    def finish(self): self.record("finish")
    def record(self, method, *facts): self.calls.append((method, *facts))

TRACKER = Fake
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A tracker named `fake`: its class, which remembers every call."""
    folder = tmp_path / "trackers"
    folder.mkdir()
    (folder / "fake.py").write_text(FAKE)
    monkeypatch.setattr(trackers, "__path__", [*trackers.__path__, str(folder)])
    yield trackers.find("fake")
    sys.modules.pop("simulacra.engine.trackers.fake")


def trained(out, track="fake"):
    """Train a small model for 12 steps; return the messages."""
    listener = Listener()
    assert train(resolve(RECIPE, {"track": track}), out, progress=listener).finished
    return listener.said


def warnings(said):
    """Return what was said about trackers."""
    return [line for line in said if line.startswith(("warning: the tracker", "waiting for the trackers"))]


def reports(path):
    """Return the lines of the reports, without what depends on the clock."""
    timing = ("seconds", "images_per_second")
    return [{name: value for name, value in line.items() if name not in timing} for line in written_in(path)]


def written_in(path):
    return Reports(path / "reports.jsonl").read()


# --- what a tracker receives


def test_a_tracker_receives_the_records_of_the_reports(fake, tmp_path):
    assert not warnings(trained(tmp_path / "run"))
    methods = [call[0] for call in fake.calls]
    assert (methods[0], methods[-1]) == ("start", "finish")
    _, settings, folder, step = fake.calls[0]
    assert (folder, step) == (tmp_path / "run", 0)
    assert (settings["family"], settings["train.batch"], settings["train.track"]) == ("vae", 64, "fake")
    said = [call[1:] for call in fake.calls if call[0] == "scalars"]
    written = [
        (line["step"], {f"{line['kind']}/{name}": value for name, value in line.items() if name not in ("kind", "step")})
        for line in written_in(tmp_path / "run")
    ]
    assert said == written
    pictures = [(step, name, path.name) for _, step, name, path in (call for call in fake.calls if call[0] == "image")]
    names = [(step, f"step_{step:08d}.png") for step in (0, 6, 12)]
    assert pictures == [(step, kind, name) for step, name in names for kind in ("samples", "reconstructions")]


def test_a_resumed_run_starts_its_tracker_from_its_checkpoint(fake, tmp_path):
    trained(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step_00000012")
    fake.calls.clear()
    assert resume(tmp_path / "run").finished
    assert fake.calls[0][3] == 6
    assert {call[1] for call in fake.calls if call[0] == "scalars"} == {8, 12}


@pytest.mark.long
def test_tracking_does_not_change_a_single_bit_of_a_training(fake, tmp_path):
    trained(tmp_path / "tracked", track="fake, tensorboard")
    trained(tmp_path / "alone", track="")
    assert reports(tmp_path / "tracked") == reports(tmp_path / "alone")
    stored = [tmp_path / name / "checkpoints" / "step_00000012" / "model.safetensors" for name in ("tracked", "alone")]
    assert stored[0].read_bytes() == stored[1].read_bytes()


def test_the_tracker_of_the_documentation_works(tmp_path, monkeypatch):
    page = (REPOSITORY / "docs" / "guides" / "monitoring.md").read_text()
    (tmp_path / "diary.py").write_text(page.split("```python\n")[-1].split("```")[0])
    monkeypatch.setattr(trackers, "__path__", [*trackers.__path__, str(tmp_path)])
    assert not warnings(trained(tmp_path / "run", track="diary"))
    sys.modules.pop("simulacra.engine.trackers.diary")
    lines = (tmp_path / "run" / "diary.txt").read_text().splitlines()
    assert lines[0] == "from step 0, with vae"
    assert len([line for line in lines if "train/vae/loss" in line]) == 3


# --- what a tracker cannot do


@pytest.mark.parametrize("method", ["__init__", "start", "scalars", "image", "finish"])
@pytest.mark.parametrize("error", [OSError("no space left on the device"), SystemExit(3)])
def test_a_tracker_that_fails_is_disabled_with_one_warning(fake, monkeypatch, tmp_path, method, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(fake, method, fail)
    listener = Listener()
    with trackers.tracking(["fake"], {}, tmp_path, 0, listener) as active:
        for step in range(3):
            active.scalars("train", {"step": step, "loss": 0.5})
            active.image(step, tmp_path / "samples" / "step.png")
    (warning,) = warnings(listener.said)
    assert "fake is disabled; training continues" in warning
    assert f"{type(error).__name__}: {error}" in warning


def test_a_training_continues_when_its_tracker_fails(fake, monkeypatch, tmp_path):
    monkeypatch.setattr(fake, "start", lambda *_: 1 / 0)
    assert len(warnings(trained(tmp_path / "run"))) == 1
    assert len(reports(tmp_path / "run")) == 6


def test_a_tracker_that_cannot_be_imported_when_a_run_is_resumed_is_disabled(fake, tmp_path, capsys):
    trained(tmp_path / "run")
    broken = tmp_path / "trackers" / "fake.py"
    broken.write_text("import a_package_that_nobody_has")
    sys.modules.pop("simulacra.engine.trackers.fake")
    code = main(["resume", str(tmp_path / "run"), "--for", "16"])
    sys.modules["simulacra.engine.trackers.fake"] = fake  # for the fixture to remove
    assert code == 0
    assert capsys.readouterr().err.count("No module named 'a_package_that_nobody_has'") == 1


def test_a_training_waits_for_trackers_only_at_its_end_for_a_limited_time(fake, monkeypatch, tmp_path):
    hung = threading.Event()
    monkeypatch.setattr(fake, "start", lambda *_: hung.wait(60))
    monkeypatch.setattr(trackers, "_GRACE", 0.05)
    monkeypatch.setattr(trackers, "_TIMEOUT", 0.2)
    said = warnings(trained(tmp_path / "run"))
    hung.set()
    assert len(said) == 2
    assert "waiting for the trackers to finish" in said[0]
    assert "did not finish within" in said[1]


def test_a_tracker_with_too_many_queued_calls_is_disabled_once(fake, monkeypatch):
    hung, listener = threading.Event(), Listener()
    monkeypatch.setattr(trackers, "_MOST_QUEUED", 3)
    tracker = BackgroundTracker("fake", listener)
    began = time.perf_counter()

    def hang(_):
        hung.wait(60)

    for _ in range(10):
        tracker.submit(hang)
    assert time.perf_counter() - began < 5
    hung.set()
    assert len(listener.said) == 1
    assert "3 calls behind" in listener.said[0]


def test_a_training_that_fails_finishes_its_trackers(fake, tmp_path):
    with pytest.raises(RuntimeError, match="broke"), trackers.tracking(["fake"], {}, tmp_path, 0, Listener()):
        raise RuntimeError("broke")
    assert [call[0] for call in fake.calls] == ["start", "finish"]


# --- how one is asked for


def test_a_wrong_name_suggests_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'tensorboard'"):
        TrainConfig(track="tensorbord")


def test_a_missing_package_is_an_error_before_anything_is_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(trackers, "is_installed", lambda name: name == "tensorboard")
    code = main(["train", "vae", "--track", "tensorboard,wandb,mlflow", "--out", str(tmp_path / "run")])
    assert code == 2
    assert 'pip install "simulacra[wandb,mlflow]"' in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_folder_without_modules_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "left_behind").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not trackers.is_installed("left_behind")
    assert trackers.is_installed("numpy")


def test_every_tracker_is_an_extra_of_its_own_name():
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name in trackers.names():
        assert any(package.startswith(f"{name}>") for package in extras[name])


# --- the real ones


def interrupted_and_resumed(path, track):
    """Train to the end, lose the last six steps, and train them again; return the steps that the reports hold, by name."""
    said = trained(path, track)
    shutil.rmtree(path / "checkpoints" / "step_00000012")
    listener = Listener()
    assert resume(path, progress=listener).finished
    assert not [line for line in warnings([*said, *listener.said]) if "waiting" not in line]
    steps = Counter((line["kind"], line["step"]) for line in written_in(path))
    assert set(steps.values()) == {1}
    return {
        "train/vae/loss": [step for kind, step in steps if kind == "train"],
        "validation/vae/loss": [step for kind, step in steps if kind == "validation"],
    }


def test_tensorboard_shows_every_step_once_also_after_a_resume(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    steps = interrupted_and_resumed(tmp_path / "run", "tensorboard")
    shown = events.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    shown.Reload()
    for name, expected in steps.items():
        assert [event.step for event in shown.Scalars(name)] == expected
    losses = {line["step"]: line["vae/loss"] for line in written_in(tmp_path / "run") if line["kind"] == "train"}
    for event in shown.Scalars("train/vae/loss"):
        assert event.value == pytest.approx(losses[event.step], rel=1e-6)
    assert [event.step for event in shown.Images("samples")] == [0, 6, 12]
    (text,) = shown.Tensors("settings/text_summary")[:1]
    assert b"| train.batch | 64 |" in text.tensor_proto.string_val[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # its own packages deprecate each other
def test_mlflow_keeps_every_step_once_also_after_a_resume(tmp_path, monkeypatch):
    if not trackers.is_installed("mlflow"):
        pytest.skip("mlflow is not installed")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    steps = interrupted_and_resumed(tmp_path / "run", "mlflow")
    from mlflow.tracking import MlflowClient

    home = tmp_path / "run" / "mlflow"
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    run = client.get_run((home / "run-id").read_text())
    assert (run.info.status, run.info.run_name, run.data.params["train.batch"]) == ("FINISHED", "run", "64")
    for name, expected in steps.items():
        assert [point.step for point in client.get_metric_history(run.info.run_id, name)] == expected
    assert sorted(path.name for path in home.rglob("artifacts/samples/*.png")) == [
        "step_00000000.png",
        "step_00000006.png",
        "step_00000012.png",
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_wandb_writes_offline_under_one_id_also_after_a_resume(tmp_path, monkeypatch):
    if not trackers.is_installed("wandb"):
        pytest.skip("wandb is not installed")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    interrupted_and_resumed(tmp_path / "run", "wandb")
    home = tmp_path / "run" / "wandb"
    identity = (home / "run-id").read_text()
    written = list(home.glob(f"offline-run-*-{identity}/run-{identity}.wandb"))
    assert written
    assert len(list(home.glob("offline-run-*"))) == len(written)
    assert list(home.rglob("media/images/samples_*.png"))
