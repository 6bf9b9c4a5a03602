"""Early stopping, and settings that a resumed run changes."""

import json
import shutil
from typing import Any

import pytest
import torch
from tests.recording import Listener
from tests.training.test_resume import assert_same_run, losses, weights

from simulacra.core.early_stopping import has_no_progress, validation_losses
from simulacra.core.errors import UsageError
from simulacra.engine import checkpoint
from simulacra.interfaces.cli import main
from simulacra.runs.opened import open_run
from simulacra.runs.run import Run
from simulacra.runs.settings import resolve
from simulacra.training import observer
from simulacra.training.snapshots import Snapshots
from simulacra.training.train import resume, train

RECIPE: dict[str, Any] = {
    "family": "autoencoder",
    "data": {"data": "digits"},
    "model": {"network": "dense", "hidden": (16,), "latent_dim": 3},
    "train": {"duration": "60", "batch": 64, "snapshots": 6, "threads": 1, "checkpoint_every": "25", "keep": 1, "device": "cpu"},
}
LOSSES = {0: 9.0, 10: 5.0, 20: 3.0, 30: 4.0, 40: 3.5, 50: 2.0, 60: 1.0}


@pytest.fixture
def run_with(monkeypatch, tmp_path):
    """Return a function that trains with these validation losses."""

    def take(snapshots, trainer, size):
        return {"autoencoder/loss": LOSSES[trainer.step]}

    monkeypatch.setattr(Snapshots, "take", take)

    def trained(name="run", progress=None, **settings):
        return train(resolve(RECIPE, settings), tmp_path / name, progress=progress or Listener())

    return trained


def test_training_ends_after_as_many_snapshots_without_a_lower_loss_and_the_best_weights_are_evaluated(run_with):
    listener = Listener()
    outcome = run_with(patience=2, progress=listener)
    assert (outcome.finished, outcome.step) == (True, 40)
    assert [path.name for path in checkpoint.paths(outcome.run.checkpoints)] == ["step_00000020", "step_00000040"]
    assert any("early stopping at step 40: the validation loss was lowest at step 20" in line for line in listener.said)
    opened = open_run(outcome.run.path)
    assert opened.step == 20
    stored = checkpoint.read(outcome.run.checkpoints / "step_00000020").tensors["ema"]
    assert all(torch.equal(tensor, stored[name]) for name, tensor in opened.model.state_dict().items())


def test_a_longer_patience_trains_on_and_without_it_the_last_weights_are_evaluated(run_with):
    longer = run_with(patience=3)
    assert (longer.step, open_run(longer.run.path).step) == (60, 60)
    without = run_with("without")
    assert [path.name for path in checkpoint.paths(without.run.checkpoints)] == ["step_00000060"]


def test_a_run_that_ended_early_is_finished_and_goes_on_without_patience_bit_for_bit(run_with, tmp_path):
    outcome = run_with(patience=2)
    again = resume(outcome.run.path)
    assert (again.finished, again.step) == (True, 40)
    on = resume(outcome.run.path, settings={"patience": 0})
    straight = run_with("straight")
    assert (on.step, open_run(on.run.path).step) == (60, 60)
    first, second = weights(on.run.path), weights(straight.run.path)
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_a_kill_after_a_best_snapshot_leaves_the_weights_of_the_best_checkpoint(run_with, monkeypatch, tmp_path):
    write = Run.write_checkpoint

    def killed(run, step, state, keep):
        if step == 50:
            raise KeyboardInterrupt
        write(run, step, state, keep)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "write_checkpoint", killed)
        with pytest.raises(KeyboardInterrupt):
            run_with(patience=3)
    assert open_run(tmp_path / "run").step == 20  # the reports have step 50, which no checkpoint holds
    assert resume(tmp_path / "run").finished
    assert open_run(tmp_path / "run").step == 60
    assert_same_run(tmp_path / "run", run_with("straight", patience=3).run.path)


def test_a_damaged_best_checkpoint_is_named_and_the_newest_is_used(run_with):
    path = run_with(patience=2).run.path
    (path / "checkpoints" / "step_00000020" / "ema.safetensors").write_bytes(b"")
    listener = Listener()
    assert open_run(path, progress=listener).step == 40
    assert "step_00000020" in listener.said[0]


def test_evaluate_says_which_weights_are_evaluated_and_what_was_changed(run_with, capsys):
    path = run_with(patience=2).run.path
    resume(path, settings={"lr": 1e-4})
    assert main(["evaluate", str(path), "--metrics", "reconstruction", "--json"]) == 0
    training = json.loads(capsys.readouterr().out)["training"]
    assert training["weights"] == "lowest validation loss, at step 20 of 40 (--patience 2)"
    assert training["changes"] == [{"from_step": 40, "lr": [1e-3, 1e-4]}]


@pytest.mark.parametrize(
    ("family", "settings", "named"), [("gan", {}, "compete"), ("vae", {"validation": 0.0}, "--validation 0.1")]
)
def test_patience_without_a_loss_that_measures_progress_is_refused(family, settings, named, tmp_path):
    config = resolve({"family": family, "data": {"data": "digits"}}, {"patience": 2, "duration": "2", **settings})
    with pytest.raises(UsageError, match=named):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_validation_losses_are_those_of_a_single_player_after_the_first_step():
    lines = [{"kind": "validation", "step": step, "vae/loss": loss} for step, loss in ((0, 1.0), (5, 0.5), (9, float("nan")))]
    assert validation_losses(lines) == {5: 0.5, 9: float("inf")}
    assert validation_losses([{"kind": "validation", "step": 5, "a/loss": 1.0, "b/loss": 1.0}]) == {}
    assert not has_no_progress({5: float("inf"), 9: float("inf")}, 1)


# --- settings that a resumed run changes


def plain(tmp_path, **settings):
    recipe = {**RECIPE, "train": {**RECIPE["train"], "snapshots": 2, "log_every": 10, "lr": 1e-2, "warmup": 0.0, **settings}}
    return train(resolve(recipe, {}), tmp_path / "run").run.path


def test_the_learning_rate_changes_from_the_checkpoint_on_and_the_change_is_recorded(tmp_path):
    path = plain(tmp_path, schedule="constant")
    resume(path, "80", {"lr": 1e-4})
    assert [record["lr"] for record in losses(path) if record["kind"] == "train"] == [1e-2] * 6 + [1e-4] * 2
    (entry,) = json.loads((path / "provenance.json").read_text())["resumes"]
    assert entry["changes"] == {"duration": ["60", "80"], "lr": [1e-2, 1e-4]}
    assert Run.open(path).config.train.lr == 1e-4


@pytest.mark.parametrize(
    ("before", "after", "steps"), [("2ep", "4ep", 40 + 20), ("2560images", "5120images", 40 + 20), ("40", "60", 60)]
)
def test_another_batch_size_counts_images_and_epochs_from_where_it_begins(tmp_path, before, after, steps):
    path = plain_of(tmp_path, before)
    outcome = resume(path, after, {"batch": 128})
    records = [record for record in losses(path) if record["kind"] == "train"]
    assert outcome.step == steps
    assert (records[-1]["step"], records[-1]["images"]) == (steps, 40 * 64 + 20 * 128)
    assert records[-1]["epochs"] == pytest.approx(4.0)
    assert records[-1]["lr"] < 1e-5  # the cosine ends with the new duration


def plain_of(tmp_path, duration):
    data = {"data": "digits", "limit": 1280}
    settings = {"duration": duration, "batch": 64, "snapshots": 2, "log_every": 10}
    return train(resolve({**RECIPE, "data": data, "train": {**RECIPE["train"], **settings}}, {}), tmp_path / "run").run.path


def test_a_resume_after_a_change_of_the_batch_size_is_exact(tmp_path):
    path = plain_of(tmp_path, "2ep")
    twin = tmp_path / "twin"
    shutil.copytree(path, twin)
    resume(path, "4ep", {"batch": 128})
    with pytest.MonkeyPatch.context() as patch:
        step = observer.RunObserver.on_step

        def stop(self, trainer):
            step(self, trainer)
            if trainer.step == 47:
                raise KeyboardInterrupt

        patch.setattr(observer.RunObserver, "on_step", stop)
        with pytest.raises(KeyboardInterrupt):
            resume(twin, "4ep", {"batch": 128, "checkpoint_every": "5"})
    assert resume(twin).finished
    assert_same_run(path, twin)


def test_settings_that_define_the_model_are_refused_at_resume(tmp_path, capsys):
    path = plain_of(tmp_path, "2ep")
    with pytest.raises(UsageError, match="setting of a resumed run"):
        resume(path, settings={"seed": 3})
    assert main(["resume", str(path), "--latent-dim", "4"]) == 2
    assert "--latent-dim" in capsys.readouterr().err
