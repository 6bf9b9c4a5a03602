"""The animation of the samples that a training saved."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from simulacra.core.files import Unwritable
from simulacra.images.animation import evenly_spaced, write_animation
from simulacra.runs.run import Run


@pytest.fixture
def run(tmp_path):
    """A run folder with snapshots alone: squares whose brightness grows with the step."""
    run = Run(tmp_path / "run")
    run.make_folders(parents=True)
    for index in range(60):
        shade = Image.fromarray(np.full((40, 600), 4 * index, np.uint8))
        shade.save(run.samples / f"step_{100 * index:08d}.png")
    return run


def frames(path):
    """Return (size, milliseconds, brightness below the caption) of every frame."""
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        for frame in ImageSequence.Iterator(image):
            yield frame.size, frame.info["duration"], np.asarray(frame.convert("L"))[20, 5]


def test_an_animation_displays_the_snapshots_in_order_and_the_last_one_longer(run):
    made = list(frames(write_animation(run)))
    assert len(made) == 40
    assert {size for size, _, _ in made} == {(480, 32 + 16)}
    assert [duration for _, duration, _ in made] == [200] * 39 + [3000]
    brightness = [int(shade) for _, _, shade in made]
    assert brightness == sorted(brightness)
    assert (brightness[0], brightness[-1]) == (0, 4 * 59)


def test_an_animation_is_written_again_only_where_a_snapshot_is_newer(run):
    path = run.path / "images" / "progress.gif"
    assert write_animation(run) == path
    before = path.stat().st_mtime_ns
    assert write_animation(run) == path
    assert path.stat().st_mtime_ns == before
    Image.new("L", (600, 40)).save(run.samples / "step_00006000.png")
    assert write_animation(run) == path
    assert path.stat().st_mtime_ns > before


def test_foreign_and_broken_images_are_left_out_and_one_alone_is_no_write_animation(run):
    for path in sorted(run.samples.glob("*.png"))[1:]:
        path.write_bytes(b"no image")
    (run.samples / "step_of_mine.png").write_bytes(b"")
    assert write_animation(run) is None
    assert not (run.path / "images").exists()


def test_a_folder_that_cannot_be_written_is_named(run):
    (run.path / "images").write_text("a file in the place of the folder")
    with pytest.raises(Unwritable, match="images"):
        write_animation(run)


def test_a_training_ends_with_its_animation_and_the_report_names_it(trained_vae):
    path = trained_vae.run.path / "images" / "progress.gif"
    assert len(list(frames(path))) == 4
    assert str(path) in trained_vae.report().read_text()


def test_items_are_evenly_spaced_from_the_first_to_the_last():
    assert [int(item.name) for item in evenly_spaced([Path(str(index)) for index in range(10)], 4)] == [0, 3, 6, 9]
