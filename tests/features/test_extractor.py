"""Networks that turn images into features: sizes, the rule by which images are converted, how training images are varied."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from simulacra.core.batch import DataSpec
from simulacra.core.errors import DataError, UsageError
from simulacra.core.progress import SILENT
from simulacra.core.randomness import stream
from simulacra.data.dataset import Split
from simulacra.features import networks as extractors
from simulacra.features.cache import read_tensors
from simulacra.features.classifier import augment
from simulacra.features.extractor import Classifier, Extractor
from simulacra.features.loading import default_extractor, parse
from simulacra.features.networks.inception import Inception, with_weights
from simulacra.features.networks.lenet import LeNet
from simulacra.features.networks.resnet18 import ResNet18


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def fresh(kind: type[Classifier], classes: int = 10) -> Extractor:
    with stream(0, "test"):
        network = kind(classes)
        for module in network.modules():  # statistics as after a training, so that evaluation differs from training
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
    return Extractor("test", network, "0" * 64, tuple(map(str, range(classes))), {"seed": 0})


def random_images(*shape: int) -> torch.Tensor:
    with stream(1, "images"):
        return torch.rand(*shape)


@pytest.fixture(scope="module")
def inception() -> Inception:
    with stream(0, "inception"):
        return Inception().eval()


# --- sizes, by hand


def test_lenet_has_the_parameters_of_its_description():
    convolutions = 25 * 32 + 2 * 32 + 25 * 32 * 64 + 2 * 64
    dense = 1600 * 128 + 2 * 128 + 128 * 10 + 10
    assert parameters(LeNet(10)) == convolutions + dense


def test_resnet18_for_ten_classes_has_the_known_11_173_962_parameters():
    assert parameters(ResNet18(10)) == 11_173_962


def test_inception_has_the_parameters_of_inception_v3_without_its_auxiliary_classifier(inception):
    with_auxiliary_and_1000_classes = 27_161_264  # the count that is published for the usual PyTorch network
    auxiliary = 768 * 128 + 2 * 128 + 25 * 128 * 768 + 2 * 768 + 768 * 1000 + 1000
    eight_more_classes = 8 * (2048 + 1)
    assert parameters(inception) == with_auxiliary_and_1000_classes - auxiliary + eight_more_classes == 23_850_960


def test_every_extractor_is_found_by_its_file_and_says_what_it_looks_at():
    assert extractors.names() == ("inception", "lenet", "lenet_colour", "resnet18")
    for name in extractors.names():
        network = extractors.find(name)
        assert str(network.dimensions) in network.title
        assert f"{network.side}x{network.side}" in network.rule()


def test_an_extractor_is_found_by_its_file_alone(tmp_path, monkeypatch):
    (source,) = extractors.__path__
    (tmp_path / "newcomer.py").write_text((Path(source) / "lenet.py").read_text())
    monkeypatch.setattr(extractors, "__path__", [source, str(tmp_path)])
    assert extractors.find("newcomer").__name__ == "LeNet"


@pytest.mark.parametrize(("spec", "name"), [((1, 8, 8), "lenet"), ((1, 64, 64), "resnet18"), ((3, 32, 32), "resnet18")])
def test_the_default_extractor_follows_the_shape_of_the_images(spec, name):
    assert default_extractor(DataSpec(*spec)) == name


def test_an_unknown_extractor_is_a_usage_error_that_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'lenet'"):
        parse("lenett:mnist")


# --- features


@pytest.mark.parametrize(("kind", "shape"), [(LeNet, (1, 28, 28)), (ResNet18, (3, 32, 32)), (LeNet, (3, 20, 30))])
def test_features_have_one_row_per_image_and_are_float32(kind, shape):
    extractor = fresh(kind)
    found = extractor.features(random_images(3, *shape))
    assert found.shape == (3, kind.dimensions)
    assert found.dtype == torch.float32
    assert extractor.logits(random_images(3, *shape)).shape == (3, 10)
    assert extractor.predictions(random_images(3, *shape)).dtype == torch.int64


@pytest.mark.parametrize("kind", [LeNet, ResNet18])
def test_features_of_an_image_do_not_depend_on_the_others(kind):
    extractor = fresh(kind)
    images = random_images(6, kind.channels, kind.side, kind.side)
    extractor.network.train()  # as it may have been left; batch statistics would mix the images
    together = extractor.features(images)
    alone = torch.cat([extractor.features(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    assert extractor.network.training  # the mode is restored


def test_others_can_learn_from_features_and_the_extractor_does_not():
    extractor = fresh(LeNet)
    probe = nn.Linear(128, 2)
    probe(extractor.features(random_images(4, 1, 28, 28))).sum().backward()
    assert probe.weight.grad is not None
    assert all(parameter.grad is None for parameter in extractor.network.parameters())


def test_embedding_a_split_equals_embedding_its_images_and_predicts_what_the_logits_say():
    extractor = fresh(LeNet)
    pixels = (random_images(1203, 28, 28, 1) * 255).to(torch.uint8)
    split = Split("test", pixels.numpy())
    images = split.head(len(split)).images
    with SILENT.task("", 1, "") as meter:
        by_split, by_tensor = extractor.embed(split, meter), extractor.embed(images, meter)
    assert by_split.features.shape == (1203, 128)
    torch.testing.assert_close(by_split.features, by_tensor.features)
    assert by_split.predictions is not None
    assert torch.equal(by_split.predictions[:50], extractor.predictions(images[:50]))


@pytest.mark.parametrize("images", [torch.zeros(2, 2, 8, 8), torch.zeros(2, 8, 8), torch.zeros(2, 1, 8, 8, dtype=torch.uint8)])
def test_images_of_another_kind_are_refused(images):
    with pytest.raises(UsageError, match="1 or 3 channels"):
        fresh(LeNet).features(images)


def test_an_extractor_without_classes_refuses_to_predict(inception):
    with pytest.raises(UsageError, match="no classifier"):
        Extractor("inception", inception, "0", (), {}).predictions(torch.zeros(1, 3, 8, 8))


def test_protocol_and_label_bear_the_digest():
    extractor = fresh(LeNet)
    assert extractor.label == "LeNet-128 sha256:00000000"
    assert extractor.protocol["extractor_sha256"] == "0" * 64
    assert extractor.protocol["extractor_seed"] == 0
    assert extractor.network.dimensions == 128


# --- the rule by which images are converted


def test_grey_images_are_repeated_into_colours_and_colours_become_grey_by_rec_601():
    grey = random_images(2, 1, 32, 32)
    assert torch.equal(ResNet18(2).adapt(grey), grey.repeat(1, 3, 1, 1))
    pure = torch.eye(3)[:, :, None, None].expand(3, 3, 28, 28)  # red, green, blue
    assert LeNet(2).adapt(pure)[:, 0, 0, 0].tolist() == pytest.approx([0.299, 0.587, 0.114])


def test_images_of_the_right_size_are_left_as_they_are():
    images = random_images(2, 1, 28, 28)
    assert LeNet(2).adapt(images) is images


@pytest.mark.parametrize("shape", [(8, 8), (28, 56), (100, 30)])
def test_resizing_keeps_constant_images_and_the_range(shape):
    constant = LeNet(2).adapt(torch.full((1, 1, *shape), 0.7))
    assert constant.shape == (1, 1, 28, 28)
    torch.testing.assert_close(constant, torch.full_like(constant, 0.7))
    resized = LeNet(2).adapt(random_images(2, 1, *shape).round())
    assert resized.min() >= 0
    assert resized.max() <= 1


def test_shrinking_is_antialiased_except_for_the_published_fid(inception):
    stripes = torch.zeros(1, 1, 112, 112)
    stripes[..., ::2] = 1  # finer than the smaller image can show
    smooth = LeNet(2).adapt(stripes)
    torch.testing.assert_close(smooth, torch.full_like(smooth, 0.5), rtol=0, atol=0.05)
    wide = torch.zeros(1, 3, 598, 598)
    wide[..., ::4] = 1
    assert inception.adapt(wide).std() > 0.1


# --- what is done to training images


def test_augmented_images_are_shifts_of_the_image_by_up_to_two_pixels_all_of_them_seen():
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 4] = 1
    with stream(0, "augment"):
        moved = augment(image.expand(2000, 1, 9, 9), mirror=False)
    assert moved.shape == (2000, 1, 9, 9)
    assert torch.equal(moved.flatten(1).sum(1), torch.ones(2000))
    rows, columns = torch.nonzero(moved[:, 0])[:, 1:].T
    seen = set(zip((rows - 4).tolist(), (columns - 4).tolist(), strict=True))
    # 25 shifts, 2000 draws: one of them stays unseen with probability below 25 * 0.96^2000 = 1e-34
    assert seen == {(y, x) for y in range(-2, 3) for x in range(-2, 3)}


def test_each_augmented_image_keeps_its_own_content_in_all_channels():
    images = random_images(8, 3, 6, 6)
    with stream(0, "augment"):
        moved = augment(images, mirror=False)
    for before, after in zip(images, moved, strict=True):
        padded = nn.functional.pad(before[None], (2, 2, 2, 2), mode="replicate")[0]
        windows = [padded[:, y : y + 6, x : x + 6] for y in range(5) for x in range(5)]
        assert any(torch.equal(after, window) for window in windows)


def test_images_are_mirrored_only_where_that_is_asked_for():
    ramp = torch.arange(8.0).expand(400, 1, 8, 8) / 7
    with stream(0, "augment"):
        plain, mirrored = augment(ramp, mirror=False), augment(ramp, mirror=True)

    def falls(images):
        return images[:, 0, 0, 7] < images[:, 0, 0, 0]

    assert not falls(plain).any()
    # 400 fair coins: outside 150..250 with probability below 1e-6
    assert 150 < falls(mirrored).sum() < 250


# --- the published Inception network


def test_inception_gives_2048_features_of_images_of_any_size(inception):
    extractor = Extractor("inception", inception, "0", (), {})
    assert extractor.features(random_images(1, 1, 16, 16)).shape == (1, 2048)


@pytest.mark.long
def test_inception_weights_go_to_a_file_and_back(inception, tmp_path):
    save_file(inception.state_dict(), tmp_path / "inception.safetensors")
    tensors, digest = read_tensors(tmp_path / "inception.safetensors")
    back = with_weights(tensors, tmp_path)
    images = random_images(1, 3, 299, 299)
    with torch.inference_mode():
        assert torch.equal(back.eval().embed(images), inception.embed(images))
    assert len(digest) == 64


def test_inception_weights_are_read_without_the_counters_of_batch_normalization(inception, tmp_path):
    tensors = {name: tensor for name, tensor in inception.state_dict().items() if "num_batches" not in name}
    assert len(tensors) == 94 * 5 + 2  # as in files that were converted from TensorFlow
    with_weights(tensors, tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("Mixed_7c.branch1x1.conv.weight"), r"Mixed_7c\.branch1x1\.conv\.weight is missing"),
        (lambda state: state.update({"AuxLogits.fc.weight": torch.zeros(2)}), "AuxLogits.fc.weight is not one of its layers"),
        (lambda state: state.update({"fc.weight": torch.zeros(1000, 2048)}), r"\[1000, 2048\], expected \[1008, 2048\]"),
        (lambda state: state.clear(), "and 469 more"),
    ],
)
def test_weights_of_another_network_are_refused_by_name(inception, tmp_path, change, said):
    state = dict(inception.state_dict())
    change(state)
    with pytest.raises(DataError, match=said):
        with_weights(state, tmp_path / "wrong.safetensors")


def test_average_pooling_leaves_the_padding_out_and_the_last_block_pools_by_maximum(inception):
    def pooled_by(block):
        seen = []
        handle = block.branch_pool.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        maps = random_images(1, block.branch_pool.conv.in_channels, 5, 5)
        with torch.inference_mode():
            block(maps)
        handle.remove()
        return maps, seen[0]

    for block in (inception.Mixed_5b, inception.Mixed_6b, inception.Mixed_7b):
        maps, pooled = pooled_by(block)
        torch.testing.assert_close(pooled[0, :, 0, 0], maps[0, :, :2, :2].mean((1, 2)))  # four pixels, not nine
        torch.testing.assert_close(pooled[0, :, 2, 2], maps[0, :, 1:4, 1:4].mean((1, 2)))
    maps, pooled = pooled_by(inception.Mixed_7c)
    torch.testing.assert_close(pooled[0, :, 2, 2], maps[0, :, 1:4, 1:4].amax((1, 2)))
