"""Training of extractors: cached, reproducible, repaired when damaged, with reasons where it is impossible."""

import json
import multiprocessing
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from simulacra.core.errors import DataError, NotApplicable, UsageError
from simulacra.core.progress import SILENT
from simulacra.core.randomness import generator
from simulacra.data.load import from_array, load
from simulacra.data.settings import DataConfig
from simulacra.engine import checkpoint
from simulacra.engine.loop import Trainer
from simulacra.features import classifier as classification
from simulacra.features import training
from simulacra.features.cache import place, stored_facts
from simulacra.features.loading import facts_of, load_extractor, why_not
from simulacra.features.networks.inception import Inception
from simulacra.features.training import NotTrained, train_extractor
from simulacra.interfaces.cli import main
from simulacra.metrics.statistics.generated_classifier import classifier_accuracy
from simulacra.runs.lock import in_turn

TINY = {"duration": "6", "batch": 32, "threads": 1, "precision": "float32", "device": "cpu"}


@pytest.fixture(autouse=True)
def empty_cache(own_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("SIMULACRA_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def digits():
    return load(DataConfig(data="digits"))


@pytest.fixture(scope="module")
def tiny_cache(digits, tmp_path_factory):
    """A cache with the extractor of a short training."""
    folder = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULACRA_CACHE", str(folder))
        train_extractor("lenet", digits, TINY)
    return folder


@pytest.fixture
def tiny(tiny_cache, digits, tmp_path):
    """The extractor of a short training, from a copy of its cache."""
    shutil.copytree(tiny_cache, tmp_path / "cache")
    return train_extractor("lenet", digits, TINY)


@pytest.fixture
def plain_images():
    """Images without classes."""
    return from_array(np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8), name="plain")


class Recorder:
    """A Progress that records messages, and labels and starts of tasks."""

    def __init__(self):
        self.lines = []
        self.labels = []
        self.starts = {}

    def task(self, label, total, unit, start=0):
        self.labels.append(label)
        self.starts[label] = start
        return SILENT.task(label, total, unit, start)

    def message(self, message):
        self.lines.append(message)


@pytest.fixture
def recorder():
    return Recorder()


# --- trained once, the same each time


def test_the_first_use_trains_with_an_announcement_and_the_second_reads_the_cache(digits, recorder, monkeypatch):
    usual = classification.recipe
    monkeypatch.setattr(training, "recipe", lambda kind, count, overrides: usual(kind, count, {**TINY, **overrides}))
    first = load_extractor("lenet", digits, progress=recorder)
    assert "192 images" in recorder.lines[0]
    assert "training lenet" in recorder.labels
    again = Recorder()
    second = load_extractor("lenet", digits, progress=again)
    assert again.lines == again.labels == []
    assert first.digest == second.digest
    images = digits.test.head(20).images
    assert torch.equal(first.features(images), second.features(images))


@pytest.mark.long
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tiny, digits):
    first = tiny
    shutil.rmtree(place("lenet", digits, 0))
    assert train_extractor("lenet", digits, TINY).digest == first.digest
    other = train_extractor("lenet", digits, {**TINY, "seed": 1})
    assert other.digest != first.digest
    assert {facts["seed"] for _, facts in stored_facts()} == {0, 1}


def test_training_leaves_the_random_numbers_of_the_caller_alone(digits):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train_extractor("lenet", digits, TINY)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.long
def test_other_settings_replace_a_stored_extractor_and_machine_settings_do_not(tiny, digits, recorder):
    first = tiny
    assert train_extractor("lenet", digits, {**TINY, "threads": 2, "snapshots": 3}, recorder).digest == first.digest
    assert recorder.labels == []
    longer = train_extractor("lenet", digits, {**TINY, "duration": "8"}, recorder)
    assert "replaced" in recorder.lines[0]
    assert load_extractor("lenet", digits).digest == longer.digest
    assert len(list(place("lenet", digits, 0).glob("*.safetensors"))) == 1


def test_images_of_another_size_or_number_have_an_extractor_of_their_own(digits):
    others = (DataConfig(data="digits", size=16), DataConfig(data="digits", limit=100))
    places = {place("lenet", data, 0) for data in (digits, *map(load, others))}
    assert len(places) == 3


def test_facts_contain_the_origin_of_the_weights(tiny, digits):
    extractor = tiny
    facts = extractor.facts
    assert facts["sha256"] == extractor.digest
    assert facts["data"]["digest"] == digits.digest
    assert facts["accuracy"]["test"]["n"] == len(digits.test)
    assert {"settings", "versions", "hardware", "training_seconds", "input"} <= set(facts)
    assert extractor.name == "lenet:digits"
    assert extractor.classes == digits.spec.classes
    assert json.loads(json.dumps(dict(facts))) == facts


@pytest.mark.long
def test_a_training_that_was_stopped_goes_on_to_the_same_weights(digits, recorder, monkeypatch):
    settings = {**TINY, "checkpoint_every": "2"}
    straight = train_extractor("lenet", digits, settings).digest
    shutil.rmtree(place("lenet", digits, 0))
    play = Trainer.play

    def stopping(trainer):
        if trainer.step == 5:
            raise KeyboardInterrupt
        play(trainer)

    monkeypatch.setattr(Trainer, "play", stopping)
    with pytest.raises(KeyboardInterrupt):
        train_extractor("lenet", digits, settings)
    monkeypatch.setattr(Trainer, "play", play)
    assert train_extractor("lenet", digits, settings, recorder).digest == straight
    assert any("step 4" in line for line in recorder.lines)
    assert recorder.starts["training lenet"] == 4
    assert not list(place("lenet", digits, 0).glob("training-*"))


def test_a_training_that_another_version_left_unfinished_begins_again(digits, monkeypatch):
    settings, play = {**TINY, "checkpoint_every": "2"}, Trainer.play

    def stopping(trainer):
        if trainer.step == 2:
            raise KeyboardInterrupt
        play(trainer)

    with monkeypatch.context() as older:
        older.setattr(checkpoint, "_FORMAT", 2)
        older.setattr(Trainer, "play", stopping)
        with pytest.raises(KeyboardInterrupt):
            train_extractor("lenet", digits, settings)
    assert list(place("lenet", digits, 0).glob("training-*/step_*"))
    assert train_extractor("lenet", digits, settings).facts["steps"] == 6


@pytest.mark.long
def test_a_training_ends_when_it_has_converged_and_one_that_was_stopped_does_too(digits, monkeypatch):
    usual, play = classification.recipe, Trainer.play
    short = {**TINY, "duration": "60", "checkpoint_every": "2"}
    monkeypatch.setattr(training, "recipe", lambda kind, count, overrides: usual(kind, count, {**short, **overrides}))
    monkeypatch.setattr(classification, "converged", lambda scores: len(scores) == 3)  # validations are 3 steps apart
    first = load_extractor("lenet", digits)
    assert (first.facts["steps"], first.facts["converged"]) == (9, True)
    shutil.rmtree(place("lenet", digits, 0))

    def stopping(trainer):
        if trainer.step == 7:
            raise KeyboardInterrupt
        play(trainer)

    monkeypatch.setattr(Trainer, "play", stopping)
    with pytest.raises(KeyboardInterrupt):
        load_extractor("lenet", digits)
    monkeypatch.setattr(Trainer, "play", play)
    assert load_extractor("lenet", digits).digest == first.digest


def test_a_duration_that_is_asked_for_is_kept_and_its_extractor_remains_valid(tiny, digits):
    assert (tiny.facts["steps"], tiny.facts["converged"]) == (6, False)
    assert load_extractor("lenet", digits, cached=True).digest == tiny.digest


def test_an_extractor_that_is_not_cached_is_named_with_the_time_that_it_takes(digits, monkeypatch):
    monkeypatch.setattr(training, "_TIMED", 0.0)
    with pytest.raises(NotTrained, match="lenet is not trained on digits") as error:
        load_extractor("lenet", digits, cached=True)
    assert not place("lenet", digits, 0).exists()
    assert training.expected_seconds(error.value) > 0
    assert training.untrained(error.value).features(digits.test.head(2).images).shape == (2, 128)


# --- a cache that others write and damage


LONG_HARMS = [pytest.param(harm, marks=pytest.mark.long) for harm in ("cut", "lose", "spoil the facts")]


@pytest.mark.parametrize("harm", ["flip a byte", *LONG_HARMS])
def test_a_damaged_extractor_is_trained_again_to_the_same_weights(tiny, digits, recorder, harm):
    first = tiny
    folder = place("lenet", digits, 0)
    (path,) = folder.glob("*.safetensors")
    content = path.read_bytes()
    match harm:
        case "flip a byte":
            path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
        case "cut":
            path.write_bytes(content[:1000])
        case "lose":
            path.unlink()
        case "spoil the facts":
            (folder / "extractor.json").write_text("{")
    assert train_extractor("lenet", digits, TINY, recorder).digest == first.digest
    assert "damaged" in recorder.lines[0]


def test_a_second_process_waits_for_the_first_and_uses_its_result(digits, recorder, monkeypatch):
    monkeypatch.setattr(training, "_WAIT", 0.01)
    folder = place("lenet", digits, 0)
    folder.mkdir(parents=True)
    results = []
    with in_turn(folder, lambda: None):
        second = threading.Thread(target=lambda: results.append(train_extractor("lenet", digits, TINY, recorder)))
        second.start()
        while not any("another process" in line for line in recorder.lines):
            second.join(0.01)
        assert results == recorder.labels == []
    second.join()
    assert results[0].digest == load_extractor("lenet", digits).digest


def _train_in_another_process(cache, queue):
    os.environ["SIMULACRA_CACHE"] = cache
    torch.set_num_threads(1)
    queue.put(train_extractor("lenet", load(DataConfig(data="digits")), TINY).digest)


@pytest.mark.slow
def test_two_processes_that_train_at_once_end_with_one_extractor(digits, tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=_train_in_another_process, args=(str(tmp_path / "cache"), queue)) for _ in range(2)]
    for process in processes:
        process.start()
    digests = {queue.get(timeout=100) for _ in processes}
    for process in processes:
        process.join()
    assert len(digests) == 1
    assert load_extractor("lenet", digits).digest in digests


# --- what cannot be, explained before anything is computed


def test_data_without_classes_are_refused_with_a_remedy(plain_images):
    assert "plain" in why_not("lenet", plain_images)
    with pytest.raises(NotApplicable, match="lenet:mnist"):
        load_extractor("lenet", plain_images)


@pytest.mark.parametrize("name", ["lenet", "lenet:digits"])
def test_images_with_four_channels_are_refused_with_a_remedy(name):
    data = from_array(np.zeros((30, 8, 8, 4), dtype=np.uint8), np.arange(30) % 2, name="maps")
    assert "--channels" in why_not(name, data)


def test_an_extractor_trained_on_other_data_is_used_for_images_without_classes(tiny, plain_images):
    trained = tiny
    assert why_not("lenet:digits", plain_images) == ""
    extractor = load_extractor("lenet:digits", plain_images)
    assert extractor.digest == trained.digest
    assert extractor.features(plain_images.test.head(3).images).shape == (3, 128)


def test_missing_inception_weights_are_an_error_with_the_path(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("SIMULACRA_DATA", str(tmp_path))
    for name in ("inception", f"inception:{tmp_path}/none.safetensors"):
        assert ".safetensors" in why_not(name, digits)
        with pytest.raises(NotApplicable, match="inception:PATH"):
            load_extractor(name, digits)


def test_weights_in_pickle_form_are_not_opened_and_the_remedy_is_a_command(digits):
    reason = why_not("inception:/weights/pt_inception.pth", digits)
    assert "weights_only=True" in reason
    assert "/weights/pt_inception.safetensors" in reason


@pytest.mark.long
def test_inception_is_used_from_its_usual_place_or_from_a_path(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("SIMULACRA_DATA", str(tmp_path))
    path = tmp_path / "inception" / "pt_inception-2015-12-05.safetensors"
    path.parent.mkdir()
    with torch.device("meta"):
        shapes = Inception().state_dict()
    save_file({name: torch.zeros(item.shape, dtype=item.dtype) for name, item in shapes.items()}, path)
    by_place, by_path = load_extractor("inception", digits), load_extractor(f"inception:{path}", digits)
    assert by_place.digest == by_path.digest
    assert by_place.label.startswith("Inception-2048 sha256:")
    assert by_place.features(digits.test.head(2).images).shape == (2, 2048)


def test_a_file_that_is_no_weights_is_an_error_before_the_evaluation(digits, tmp_path):
    path = tmp_path / "text.safetensors"
    path.write_text("these are no weights")
    with pytest.raises(DataError, match="safetensors"):
        load_extractor(f"inception:{path}", digits)


# --- the network learns


@pytest.mark.long
def test_a_short_training_classifies_the_digits(digits):
    extractor = train_extractor("lenet", digits, {**TINY, "duration": "25", "batch": 64})
    assert extractor.facts["accuracy"]["test"]["value"] > 0.85


@pytest.mark.long
def test_resnet18_trains_on_small_colour_images():
    colours = torch.rand(40, 3, 16, 16, generator=generator(0, "colours"))
    colours[:20, 0] = 1  # red, against blue
    colours[20:, 2] = 1
    data = from_array(colours, torch.arange(40) // 20, name="colours")
    extractor = train_extractor("resnet18", data, {**TINY, "duration": "2", "batch": 4})
    assert extractor.features(data.test.head(2).images).shape == (2, 512)


@pytest.mark.long
def test_a_classifier_of_real_images_scores_well_and_one_of_shuffled_labels_at_chance(digits):
    batch = digits.train.head(len(digits.train))
    assert batch.labels is not None
    short = {**TINY, "duration": "20", "batch": 64}
    real = classifier_accuracy([(batch.images, batch.labels)], digits.test, "lenet", overrides=short)
    order = torch.randperm(len(batch), generator=generator(0, "shuffle"))
    shuffled = classifier_accuracy([(batch.images, batch.labels[order])], digits.test, "lenet", overrides=short)
    assert real.value > 0.7
    # 297 guesses among ten classes: above 0.22 with probability below 1e-6
    assert shuffled.value < 0.22
    assert real.n == len(digits.test)
    assert real.standard_error == pytest.approx((real.value * (1 - real.value) / (real.n - 1)) ** 0.5)


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (torch.zeros(4, 1, 8, 8), torch.zeros(3, dtype=torch.int64), r"\[3\]"),
        (torch.zeros(4, 1, 8, 8), torch.zeros(4), "integers"),
        (torch.full((4, 1, 8, 8), 2.0), torch.zeros(4, dtype=torch.int64), r"in \[0, 1\]"),
    ],
)
def test_invalid_generated_images_are_refused(digits, images, labels, said):
    with pytest.raises(UsageError, match=said):
        classifier_accuracy([(images, labels)], digits.test, "lenet")


def test_a_batch_of_one_image_is_refused(digits):
    with pytest.raises(UsageError, match="at least 2"):
        train_extractor("lenet", digits, {**TINY, "batch": 1})


# --- the command


def run(capsys, *words):
    code = main(["extractor", *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command_trains_lists_and_shows(capsys):
    flags = ["--for", "6", "--batch", "32", "--threads", "1", "--json"]
    code, out, err = run(capsys, "train", "lenet", "--data", "digits", *flags)
    trained = json.loads(out)
    assert code == 0
    assert "192 images" in err
    code, out, _ = run(capsys, "list", "--json")
    listing = json.loads(out)
    assert set(listing["extractors"]) == {"inception", "lenet", "lenet_colour", "resnet18"}
    assert listing["trained"][0]["sha256"] == trained["sha256"]
    code, out, _ = run(capsys, "show", "lenet:digits", "--json")
    assert json.loads(out) == [trained]
    assert facts_of("lenet") == [trained]
    assert run(capsys, "show", "lenet:digits")[0] == 0
    assert "lenet:digits" in run(capsys, "list")[1]


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "did you mean 'train'"),
        (["train"], "simulacra extractor train --help"),
        (["train", "lenett"], "did you mean 'lenet'"),
        (["train", "inception"], "inception"),
        (["train", "lenet:mnist", "--data", "digits"], "mnist"),
        (["show", "lenet:nothing"], "simulacra extractor train lenet --data nothing"),
        (["show", "inception:none.safetensors"], "none.safetensors"),
    ],
)
def test_usage_errors_name_the_remedy(capsys, words, said):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert said in err


# --- the target, on MNIST itself


@pytest.mark.slow
def test_lenet_has_an_accuracy_of_at_least_99_2_percent_on_the_mnist_test_images():
    if not (Path(os.environ.get("SIMULACRA_DATA", "/nonexistent")) / "mnist").is_dir():
        pytest.skip("$SIMULACRA_DATA has no MNIST")
    extractor = train_extractor("lenet", load(DataConfig(data="mnist")), {"threads": 1})
    assert extractor.facts["accuracy"]["test"]["value"] >= 0.992
