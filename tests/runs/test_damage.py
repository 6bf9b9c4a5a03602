"""Damaged and foreign files of a run: refused by name, with the one before it used, and never believed."""

import io
import json
import re
import shutil
from contextlib import redirect_stderr, redirect_stdout

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulacra.core.errors import SimulacraError
from simulacra.engine import checkpoint
from simulacra.engine.checkpoint import Checkpoint, DamagedCheckpoint, IncompatibleCheckpoint
from simulacra.interfaces.cli import main
from simulacra.runs.run import Run

FILES = ("model.safetensors", "ema.safetensors", "optimizers.safetensors", "state.json")
GROUPS = ("model", "ema", "optimizers")
EXAMPLES = settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def state(step):
    tensors = {group: {f"{group}.weight": torch.arange(4.0) + 10 * step + at} for at, group in enumerate(GROUPS)}
    return Checkpoint(tensors, {"seconds": 1.25 * step, "window": {"one/loss": [(step, 0.5)]}, "run": "abc"})


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A folder with whole checkpoints of steps 1 and 2."""
    folder = tmp_path_factory.mktemp("two")
    for step in (1, 2):
        checkpoint.write(folder, step, state(step), keep=2)
    return folder


def harmed(content, others):
    """Draw what became of a file: a bit flipped, the end cut off, or another file in its place."""
    flipped = st.integers(0, 8 * len(content) - 1).map(lambda bit: flip(content, bit))
    cut = st.integers(0, len(content) - 1).map(lambda length: content[:length])
    return st.one_of(flipped, cut, st.sampled_from(others))


def flip(content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@EXAMPLES
@given(data=st.data())
def test_any_harm_to_any_file_is_noticed_and_the_checkpoint_before_it_is_used(two, data):
    newest = two / "step_00000002"
    file = newest / data.draw(st.sampled_from(FILES))
    content = file.read_bytes()
    others = [path.read_bytes() for path in two.rglob("*") if path.is_file() and path != file]
    file.write_bytes(data.draw(harmed(content, others)))
    try:
        with pytest.raises(DamagedCheckpoint, match=re.escape(f"checkpoint {newest} cannot be read: ")):
            checkpoint.read(newest)
        found, problems = checkpoint.read_newest(two)
        assert found.facts["step"] == 1
        assert len(problems) == 1
        assert str(newest) in problems[0]
    finally:
        file.write_bytes(content)
    assert checkpoint.read(newest).facts["seconds"] == 2.5


def test_no_flipped_bit_of_the_facts_is_believed(two):
    path = two / "step_00000002"
    content = (path / "state.json").read_bytes()
    believed = checkpoint.read(path, ()).facts
    for bit in range(0, 8 * len(content), 7):  # every position within a byte, in turn
        (path / "state.json").write_bytes(flip(content, bit))
        try:
            assert checkpoint.read(path, ()).facts == believed, bit
        except DamagedCheckpoint:
            continue
    (path / "state.json").write_bytes(content)


def test_a_whole_checkpoint_under_the_name_of_another_step_is_refused(two, tmp_path):
    shutil.copytree(two / "step_00000001", tmp_path / "step_00000009")
    with pytest.raises(DamagedCheckpoint, match="step_00000009 cannot be read: it contains step 1"):
        checkpoint.read(tmp_path / "step_00000009")


def test_a_checkpoint_of_another_format_is_rejected_with_both_formats(two, tmp_path):
    shutil.copytree(two, tmp_path / "checkpoints")
    path = tmp_path / "checkpoints" / "step_00000002" / "state.json"
    content = json.loads(path.read_text())
    del content["seal"]
    content["format"] = 2
    path.write_text(json.dumps({**content, "seal": checkpoint._seal(content)}))
    for read in (lambda: checkpoint.read(path.parent), lambda: checkpoint.read_newest(path.parent.parent)):
        with pytest.raises(
            IncompatibleCheckpoint, match=r"version 0\.1 .* format 2, and this version reads format 3: train again"
        ):
            read()


def test_one_that_was_set_aside_is_used_where_nothing_took_its_place(two, tmp_path):
    shutil.copytree(two, tmp_path / "checkpoints")
    (tmp_path / "checkpoints" / "step_00000002").rename(tmp_path / "checkpoints" / "step_00000002.old")
    found, problems = checkpoint.read_newest(tmp_path / "checkpoints")
    assert (found.facts["step"], problems) == (2, [])


def test_a_reader_whom_the_training_overtakes_looks_again(two, tmp_path, monkeypatch):
    folder = shutil.copytree(two, tmp_path / "checkpoints")
    read = checkpoint.read

    def overtaken(path, groups=None):
        monkeypatch.setattr(checkpoint, "read", read)
        checkpoint.write(folder, 3, state(3), keep=1)
        return read(path, groups)

    monkeypatch.setattr(checkpoint, "read", overtaken)
    assert checkpoint.read_newest(folder)[0].facts["step"] == 3


# --- through the command line


@pytest.fixture
def vae(trained_vae, tmp_path):
    return shutil.copytree(trained_vae.run.path, tmp_path / "vae")


def command(*words):
    """Run a command; return its exit code and its standard error."""
    with redirect_stderr(io.StringIO()) as errors, redirect_stdout(io.StringIO()):
        code = main([str(word) for word in words])
    return code, errors.getvalue()


def newest(run):
    return checkpoint.paths(run / "checkpoints")[-1]


def adopt(run, other):
    """Put the newest checkpoint of another run beside those of a run, as its newest; return it."""
    return checkpoint.write(run / "checkpoints", 9999, checkpoint.read(newest(other)), keep=9)


def test_a_checkpoint_of_another_run_is_refused_by_name_and_the_own_one_used(vae, trained_autoencoder):
    place = adopt(vae, trained_autoencoder.run.path)
    for words in (("sample", vae), ("resume", vae)):
        code, errors = command(*words)
        assert code == 0, errors
        assert f"warning: checkpoint {place} is refused: it belongs to another run" in errors


def test_a_file_of_another_model_is_refused_by_name(vae, trained_autoencoder):
    for path in checkpoint.paths(vae / "checkpoints"):
        for name in ("model.safetensors", "ema.safetensors"):
            shutil.copy(newest(trained_autoencoder.run.path) / name, path / name)
    for words in (("sample", vae), ("resume", vae), ("evaluate", vae)):
        code, errors = command(*words)
        assert code == 1
        assert re.search(rf"error: checkpoint {newest(vae)} cannot be read: (model|ema).safetensors differs", errors), errors
        assert "`simulacra resume" in errors
        assert "Traceback" not in errors


@pytest.mark.long
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("latent_dim = 4", "latent_dim = 5", "has .* of shape"),
        ('network = "conv"', 'network = "dense"', "(lacks|has)"),
        ("features = .*?]", "features = [8]", "(lacks|has)"),
    ],
)
def test_settings_of_another_model_are_refused_with_what_does_not_fit(vae, old, new, says):
    path = vae / "config.toml"
    lines = path.read_text().splitlines()[1:]  # without the first line the settings are taken as they are
    changed, count = re.subn(old, new, "\n".join(lines), flags=re.DOTALL)
    assert count == 1
    path.write_text(changed)
    for words in (("sample", vae), ("resume", vae)):
        code, errors = command(*words)
        assert code == 1, errors
        named = rf"error: checkpoint {newest(vae)} is refused: its '(model|ema)' {says}"
        assert re.search(rf"{named}.*, so it is not of the model in config.toml: ", errors), errors


def test_a_run_of_version_0_1_is_refused_with_a_remedy(vae):
    path = vae / "provenance.json"
    content = json.loads(path.read_text())
    assert content.pop("format") == 2
    path.write_text(json.dumps(content))
    for words in (("sample", vae), ("resume", vae), ("evaluate", vae), ("report", vae)):
        code, errors = command(*words)
        assert code == 2
        assert errors.count("error: ") == 1
        assert all(part in errors for part in (str(vae), "train it again", "0.1"))


def test_changed_settings_are_refused_until_their_first_line_is_removed(vae):
    path = vae / "config.toml"
    text = path.read_text()
    path.write_text(text.replace("seed = 0", "seed = 1"))
    for words in (("sample", vae), ("resume", vae)):
        code, errors = command(*words)
        assert code == 2
        assert f"error: {path} differs from what was written" in errors
    path.write_text(text.partition("\n")[2])
    assert command("sample", vae)[0] == 0


@settings(EXAMPLES, max_examples=60)
@given(data=st.data())
def test_damaged_settings_and_provenance_are_an_error_or_change_nothing(trained_vae, data):
    run = trained_vae.run
    file = run.path / data.draw(st.sampled_from(["config.toml", "provenance.json"]))
    content = file.read_bytes()
    expected, said = Run.open(run.path).config, str(run.path)
    file.write_bytes(data.draw(harmed(content, [b"", b"[]", b"{}", b'{"data": 3}', b"family = 3", b"\x00" * 50])))
    try:
        found = Run.open(run.path)
        assert found.config == expected
        assert all(number > 0 for number in found.spec.shape)
        found.check_data(trained_vae.dataset)
        found.load_family()
    except SimulacraError as error:
        said = str(error)
    finally:
        file.write_bytes(content)
    assert str(run.path) in said
