"""A GIF animation of the samples that a training saved, all generated from the same noise."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from simulacra.core.files import write_bytes
from simulacra.images.files import make_folder
from simulacra.runs.run import Run

_FRAMES = 40  # at most
_WIDTH = 480  # pixels of a frame, at most
_CAPTION = 16  # pixels of height
_DURATION, _LAST_DURATION = 200, 3000  # milliseconds of a frame, and of the last one


def write_animation(run: Run) -> Path | None:
    """Write `RUN/images/progress.gif` from the images in `RUN/samples`, unless it is newer than all of them; return its path.

    None where fewer than two images can be read. At most 40 frames of at most 480 pixels width. Raises Unwritable.
    """
    saved = sorted(run.samples.glob("step_*.png"))
    path = run.images / "progress.gif"
    if path.exists() and saved and path.stat().st_mtime_ns > max(image.stat().st_mtime_ns for image in saved):
        return path
    frames = [frame for image in evenly_spaced(saved, _FRAMES) if (frame := _frame(image))]
    if len(frames) < 2:
        return None
    make_folder(path.parent)
    times = [_DURATION] * (len(frames) - 1) + [_LAST_DURATION]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)  # 0: repeats without end
    write_bytes(path, buffer.getvalue())
    return path


def evenly_spaced(items: Sequence[Path], count: int) -> list[Path]:
    """Return at most `count` items at even distances, including the first and the last."""
    if len(items) <= count:
        return list(items)
    return [items[round(index * (len(items) - 1) / (count - 1))] for index in range(count)]


def step_text(path: Path) -> str:
    """Return the training step of a saved image as text; raises ValueError for any other file name."""
    return f"step {int(path.stem.removeprefix('step_')):,}"


def _frame(path: Path) -> Image.Image | None:
    """Return a saved image below its training step; None for any other file name, or a damaged file."""
    try:
        caption = step_text(path)
        with Image.open(path) as opened:
            image = opened.convert("L" if opened.mode == "L" else "RGB")
    except (OSError, ValueError, SyntaxError):  # as Pillow reports broken files
        return None
    if image.width > _WIDTH:
        image = image.resize((_WIDTH, round(image.height * _WIDTH / image.width)), Image.Resampling.LANCZOS)
    frame = Image.new(image.mode, (image.width, image.height + _CAPTION), "white")
    frame.paste(image, (0, _CAPTION))
    ImageDraw.Draw(frame).text((2, 2), caption, "black")
    return frame
