"""Settings that are not given follow the images, their number and the device; settings that are given win."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.recording import Listener

import simulacra
from simulacra import families
from simulacra.core.batch import DataSpec
from simulacra.core.training_facts import TrainingFacts
from simulacra.data.dataset import combine
from simulacra.data.load import from_array, load
from simulacra.data.settings import DataConfig
from simulacra.runs.settings import read, resolve
from simulacra.training.chosen_settings import choose, facts_of, may_choose
from simulacra.training.photographs import are_black_and_white, are_photographs


def photographs(count, side=64, channels=3):
    """Return shaded, noisy images uint8 [n side side channels]: every level occurs, as in photographs."""
    rng = np.random.default_rng(0)
    shades = rng.uniform(60, 200, (count, 1, 1, channels)) + np.linspace(-50, 50, side)[None, :, None, None]
    return (shades + rng.normal(0, 5, (count, side, side, channels))).clip(0, 255).astype(np.uint8)


def drawings(count, side=64):
    """Return discs of one colour on a background of another, uint8 [n side side 3]."""
    rng = np.random.default_rng(0)
    colors = rng.integers(40, 216, (2, count, 1, 1, 3))
    rows, columns = np.mgrid[:side, :side]
    inside = np.hypot(rows - side / 2, columns - side / 2) < side / 3
    return np.asarray(np.where(inside[None, :, :, None], colors[0], colors[1]), np.uint8)


@pytest.fixture(scope="module")
def photos():
    return from_array(photographs(500), name="photos")


def chosen(name, data, listener=None, **given):
    return choose(resolve({"family": name}, given), data, listener or Listener())


def test_photographs_are_told_from_drawings_and_digits() -> None:
    assert are_photographs(photographs(20))
    assert not are_photographs(drawings(20))
    assert not are_photographs(photographs(20, channels=1).repeat(3, axis=3))  # grey
    digits = load(DataConfig(data="digits")).train.images
    assert not are_photographs(digits.repeat(3, axis=3))
    assert not are_black_and_white(drawings(20))
    assert are_black_and_white((drawings(20) > 128).astype(np.uint8) * 255)


def test_a_vae_of_photographs_gets_their_likelihood_a_small_batch_flips_and_a_duration(photos) -> None:
    listener = Listener()
    config = chosen("vae", photos, listener, device="cpu")
    assert config.model.likelihood == "logistic"
    assert config.model.features == families.find("vae").presets["64"]["features"]
    assert config.data.flip
    assert (config.train.batch, config.train.duration) == (16, "10min")  # 412 training images: 25 batches an epoch
    first, second = listener.said
    assert "412 photographs of 64x64 on CPUs: --preset 64 --flip --likelihood logistic --for 10min --batch 16" in first
    assert "--no-flip" in second
    assert "config.toml" in second


def test_given_settings_win(photos) -> None:
    given = {"likelihood": "gaussian", "features": (8, 8), "flip": False, "batch": 64, "duration": "20", "lr": 1e-4}
    config = chosen("vae", photos, **given)
    found = {**vars(config.data), **vars(config.model), **vars(config.train)}
    assert {name: found[name] for name in given} == given


def test_a_given_preset_keeps_its_architecture(photos) -> None:
    config = chosen("vae", photos, preset="dense")
    assert (config.model.network, config.model.hidden, config.model.latent_dim) == ("dense", (400,), 20)
    assert config.model.likelihood == "logistic"


def test_a_choice_that_contradicts_a_given_setting_is_left_out(photos) -> None:
    config = chosen("vae", photos, binarize=True)
    assert (config.model.binarize, config.model.likelihood) == (True, "bernoulli")


def test_drawings_and_black_and_white_images_are_not_flipped() -> None:
    assert not chosen("autoencoder", from_array(drawings(300), name="drawings")).data.flip
    binary = from_array(((drawings(300) > 128) * 255).astype(np.uint8), name="binary")
    config = chosen("vae", binary)
    assert not config.data.flip
    assert config.model.likelihood == "bernoulli"


def test_recipes_and_built_in_data_keep_their_settings(photos) -> None:
    assert may_choose(resolve({"family": "vae"}, {"data": "/photos"}))
    assert may_choose(resolve({"family": "vae"}, {}), photos)
    assert not may_choose(resolve({"family": "vae", "train": {}}, {"data": "/photos"}))
    assert not may_choose(resolve({"family": "vae", "preset": "conv"}, {"data": "/photos"}))
    for name in ("digits", "mnist", "mnist-thick", "cifar10"):
        assert not may_choose(resolve({"family": "vae"}, {"data": name}))
    digits = load(DataConfig(data="digits"))
    assert not may_choose(resolve({"family": "vae"}, {}), digits)
    assert not may_choose(resolve({"family": "cyclegan"}, {"a": "/summer", "b": "mnist"}))
    assert not may_choose(resolve({"family": "cyclegan"}, {}), combine({"a": photos, "b": digits}))


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("side", [16, 32, 64])
@pytest.mark.parametrize("name", families.names())
def test_the_settings_of_every_family_are_valid(name, side, gpu) -> None:
    family = families.find(name)
    facts = TrainingFacts(DataSpec(3, side, side), 400, photographs=True, black_and_white=False, gpu=gpu)
    settings = dict(family.settings_for(facts))
    preset = str(settings.pop("preset", ""))
    used = resolve({"family": name}, {**settings, **({"preset": preset} if preset else {})})
    by_name = {key.rpartition(".")[2]: value for key, value in used.flat().items()}
    for key, value in {**family.presets.get(preset, {}), **settings}.items():
        assert by_name[key] == (list(value) if isinstance(value, tuple) else value), key


def test_a_cyclegan_is_small_on_cpus_and_that_of_the_paper_on_gpus(photos) -> None:
    facts = facts_of(combine({"a": photos, "b": photos}), gpu=False)
    assert facts.photographs
    family = families.find("cyclegan")
    assert family.settings_for(facts)["preset"] == "small"
    assert family.settings_for(replace(facts, gpu=True))["preset"] == "paper"


def test_a_folder_of_mixed_photographs_needs_no_flag_and_its_config_repeats_the_run(tmp_path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, pixels in enumerate(photographs(30, side=40)):
        Image.fromarray(pixels[: 30 + number % 10]).save(folder / f"{number}.png")
    listener = Listener()
    settings: dict[str, Any] = {"duration": "2", "threads": 1, "snapshots": 1}
    simulacra.train("autoencoder", data=str(folder), out=tmp_path / "run", progress=listener, **settings)
    assert any("photographs of 30x30 on" in line for line in listener.said)
    config = read(tmp_path / "run" / "config.toml")
    assert (config.data.size, config.data.flip, config.train.batch) == (30, True, 8)
    simulacra.train("autoencoder", recipe=tmp_path / "run" / "config.toml", out=tmp_path / "same")
    weights = [next((tmp_path / run / "checkpoints").glob("step_*/model.safetensors")).read_bytes() for run in ("run", "same")]
    assert weights[0] == weights[1]


def test_large_photographs_of_one_size_are_resized_unless_a_size_is_given(tmp_path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, pixels in enumerate(photographs(12, side=130)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    settings: dict[str, Any] = {
        "data": str(folder),
        "duration": "1",
        "threads": 1,
        "snapshots": 1,
        "network": "dense",
        "hidden": (2,),
    }
    assert simulacra.train("autoencoder", out=tmp_path / "run", **settings).run.config.data.size == 64
    assert simulacra.train("autoencoder", out=tmp_path / "kept", size=0, **settings).run.config.data.size == 0
