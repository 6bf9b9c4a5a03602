"""Training from shards on the command line: packed, streamed, resumed bit for bit; a shard that breaks ends it with its name."""

import json

import pytest
import torch

from simulacra.data.shards.reading import webdataset
from simulacra.engine import checkpoint
from simulacra.interfaces.cli import main

webdataset("writer")  # the tests need the extra "shards"
TINY = ["--batch", "50", "--threads", "1", "--network", "dense", "--hidden", "16", "--latent-dim", "2", "--snapshots", "1"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMULACRA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def shards(tmp_path, capsys):
    code, out, _ = run(capsys, "data", "pack", "digits", "--out", tmp_path / "shards", "--shard-images", 200, "--json")
    assert code == 0
    assert [len(held) for held in json.loads(out)["shards"].values()] == [7, 1, 2]
    return tmp_path / "shards"


def run(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def weights(path):
    return checkpoint.read(checkpoint.paths(path / "checkpoints")[-1]).tensors["model"]


@pytest.mark.long
def test_a_run_on_shards_goes_on_bit_for_bit_and_is_evaluated(shards, tmp_path, capsys):
    train = ("train", "autoencoder", "--data", shards, *TINY, "--schedule", "constant", "--warmup", "0")
    code, _, err = run(capsys, *train, "--for", "40", "--out", tmp_path / "straight")
    assert code == 0
    assert "1,375 images" in err
    assert run(capsys, *train, "--for", "23", "--out", tmp_path / "stopped")[0] == 0
    assert run(capsys, "resume", tmp_path / "stopped", "--for", "40")[0] == 0
    one, other = weights(tmp_path / "straight"), weights(tmp_path / "stopped")
    assert all(torch.equal(one[name], other[name]) for name in one)
    facts = json.loads((tmp_path / "straight" / "provenance.json").read_text())["data"]
    assert (facts["train"], facts["validation"], facts["test"]) == (1375, 125, 297)
    code, out, _ = run(capsys, "evaluate", tmp_path / "straight", "--metrics", "reconstruction", "--json")
    assert code == 0
    assert json.loads(out)["metrics"]["mse"]["n"] == 297


@pytest.mark.long
def test_a_shard_that_breaks_ends_the_training_with_its_name_and_code_1(shards, tmp_path, capsys):
    path = shards / "train-000003.tar"
    assert run(capsys, "data", "prepare", shards)[0] == 0
    content = bytearray(path.read_bytes())
    content[20480:20992] = b"x" * 512  # a header in the middle; the size stays
    path.write_bytes(content)
    code, _, err = run(capsys, "train", "autoencoder", "--data", shards, *TINY, "--for", "2ep", "--out", tmp_path / "run")
    assert code == 1
    assert "Traceback" not in err
    assert err.strip().splitlines()[-1].startswith(f"error: {path} is damaged or truncated")


def test_packing_without_a_place_or_over_something_is_refused(shards, capsys):
    code, _, err = run(capsys, "data", "pack", "digits")
    assert (code, "--out" in err) == (2, True)
    code, _, err = run(capsys, "data", "pack", "digits", "--out", shards)
    assert (code, "--out" in err) == (2, True)
