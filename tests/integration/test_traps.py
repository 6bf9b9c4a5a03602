"""Known traps of public implementations, each as a test; the others stand beside what they test (see tests/TRAPS.md)."""

import numpy as np
import pytest
import torch
from torch import nn

import simulacra
from simulacra.core.errors import UsageError
from simulacra.data.dataset import Dataset, Split


class Sealed(np.ndarray):
    """Images that nobody may read."""

    def take(self, *words, **settings):
        raise AssertionError("the test split was read")

    def __getitem__(self, key):
        raise AssertionError("the test split was read")


def test_trap_1_training_and_validation_use_the_same_weights_of_the_loss(tmp_path):
    model = simulacra.train("vae", duration="20", batch=64, beta=3.0, threads=1, snapshots=1, latent_dim=3, out=tmp_path / "run")
    record = [line for line in model.run.reports.read() if line["kind"] == "validation"][-1]
    assert record["vae/loss"] == pytest.approx(3 * record["vae/rate_nats"] + record["vae/distortion_nats"], rel=1e-5)
    assert record["vae/negative_elbo_nats"] == pytest.approx(record["vae/rate_nats"] + record["vae/distortion_nats"], rel=1e-5)


def test_trap_16_looking_at_a_model_in_training_changes_nothing():
    from simulacra.core.eval_mode import inference_mode

    model = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5))
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with inference_mode(model):
        one, two = model(torch.ones(4, 1, 2, 2)), model(torch.ones(4, 1, 2, 2))
    assert torch.equal(one, two)
    assert model.training
    assert not model[1].training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_trap_17_a_number_is_never_without_its_sample_count_and_protocol(trained_vae):
    result = trained_vae.evaluate(particles=2, samples=0)
    assert result["data"] == {
        "name": "digits",
        "digest": trained_vae.dataset.digest,
        "split": "test",
        "n": len(trained_vae.dataset.test),
        "shape": [8, 8, 1],
    }
    for name, item in result["metrics"].items():
        assert item["n"] == len(trained_vae.dataset.test), name
        assert item["protocol"], name


def test_traps_20_and_27_training_never_reads_the_test_images(tmp_path):
    data = simulacra.load_data("digits")
    sealed = Split("test", np.asarray(data.test.images).view(Sealed), data.test.labels)
    blind = Dataset(data.name, data.digest, data.spec, data.train, data.validation, sealed)
    with pytest.raises(AssertionError, match="test split was read"):
        blind.test.head(1)
    model = simulacra.train("vae", dataset=blind, duration="6", batch=64, threads=1, snapshots=2, out=tmp_path / "run")
    assert model.step == 6


def test_trap_21_scores_and_reconstructions_do_not_depend_on_when_they_are_asked_for(trained_vae):
    images = trained_vae.dataset.test.head(5).images
    torch.manual_seed(1)
    first = trained_vae.reconstruct(images), trained_vae.evaluate(particles=2, samples=0)["metrics"]
    torch.manual_seed(2)
    second = trained_vae.reconstruct(images), trained_vae.evaluate(particles=2, samples=0)["metrics"]
    assert torch.equal(first[0], second[0])
    assert first[1] == second[1]


def test_trap_22_fewer_images_than_a_batch_are_refused_with_the_numbers(tmp_path):
    dataset = simulacra.from_array(np.zeros((40, 8, 8), np.uint8))
    with pytest.raises(UsageError, match=r"33 images, fewer than one batch of 64"):
        simulacra.train("vae", dataset=dataset, batch=64, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_trap_29_spherical_interpolation_keeps_the_norm_and_its_ends():
    from simulacra.runs.latent_paths.paths import linear, spherical

    start, end = torch.randn(2, 6, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    start, end = (vector / vector.norm(dim=1, keepdim=True) * 7 for vector in (start, end))
    arc = spherical(start, end, 9)
    torch.testing.assert_close(arc.norm(dim=2), torch.full((9, 6), 7.0, dtype=torch.float64))
    assert torch.equal(arc[0], start)
    assert torch.equal(arc[-1], end)
    steps = (arc[1:] - arc[:-1]).norm(dim=2)
    torch.testing.assert_close(steps, steps[:1].expand_as(steps))  # even steps along the arc
    assert linear(start, end, 9)[4].norm(dim=1).max() < 6.5  # the line leaves the sphere
    torch.testing.assert_close(spherical(start, start, 3), start.expand(3, 6, 50))  # parallel: no 0/0
