"""Words of other tools: accepted where they are exact, named where they are not."""

from pathlib import Path

import pytest

from simulacra.interfaces import synonyms
from simulacra.interfaces.cli import main, names
from simulacra.runs.run import Run


@pytest.mark.long
def test_flags_of_other_tools_set_our_settings(tmp_path: Path) -> None:
    words = ["--dataset", "digits", "--num_epochs", "1", "--batch_size=64", "--learning-rate", "0.002", "--max-grad-norm", "3"]
    assert main(["fit", "vae", *words, "--output-dir", str(tmp_path / "run"), "--latent_dim", "4"]) == 0
    config = Run.open(tmp_path / "run").config
    assert (config.data.table()["data"], config.train.duration, config.train.batch) == ("digits", "1ep", 64)
    assert (config.train.lr, config.train.clip, config.model.table()["latent_dim"]) == (0.002, 3.0, 4)
    assert main(["generate", str(tmp_path / "run"), "--num-samples", "4"]) == 0


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["test", "run"], "evaluate measures a model"),
        (["predict", "run"], "reconstruct, restore and translate"),
        (["train", "vae", "--gpu"], "--device cuda"),
        (["train", "vae", "--num_workers", "4"], "there are no workers"),
        (["train", "vae", "--lrr", "1"], "did you mean --lr?"),
        (["sample", "run", "--epochs", "20"], "--for 20ep of 'simulacra train'"),
        (["evaluate", "run", "--learning-rate", "1"], "--lr of 'simulacra train'"),
        (["evaluate", "run", "--batch_size", "3"], "--batch of 'simulacra train'"),
        (["train", "vae", "--num-inference-steps", "3"], "--steps of 'simulacra sample'"),
        (["sample", "run", "--n", "5"], "unknown argument '--n'. See"),
        (["train", "vae", "--duration", "5m"], "5min"),
    ],
)
def test_words_without_an_exact_counterpart_are_answered_with_what_to_use(
    words: list[str], advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert advice in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        (["--epochs", "20"], ["--for", "20ep"]),
        (["--steps", "300"], ["--for", "300steps"]),
        (["--duration", "10min"], ["--for", "10min"]),
        (["--learning-rate", "1e-3"], ["--lr", "1e-3"]),
        (["--lr", "1e-3"], ["--lr", "1e-3"]),
        (["--batch-size", "8"], ["--batch", "8"]),
    ],
)
def test_exact_words_of_other_tools_are_accepted(words: list[str], ours: list[str]) -> None:
    assert synonyms.translated(words, ["--for", "--lr", "--batch"]) == ours


def test_a_flag_that_a_command_has_itself_is_not_translated() -> None:
    assert synonyms.translated(["--steps", "9"], ["--steps", "--for"]) == ["--steps", "9"]
    assert synonyms.translated(["--steps", "9"], ["--for"]) == ["--for", "9steps"]
    assert synonyms.translated(["--label", "a=b"], ["--label"]) == ["--label", "a=b"]


def test_the_tables_name_existing_commands_only() -> None:
    assert set(synonyms.COMMANDS.values()) <= set(names())
    assert not set(synonyms.COMMANDS) & set(names())
