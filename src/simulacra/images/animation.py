"""The progress of a training as a film: the pictures that it saved from the same noise, one after the other."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from simulacra.core.files import write_bytes
from simulacra.images import grid as pictures
from simulacra.runs.run import Run

_FRAMES = 40  # at most
_WIDEST = 480  # pixels of a frame
_CAPTION = 16  # pixels of height
_SHOWN, _HELD = 200, 3000  # milliseconds of a frame, and of the last one


def film(run: Run) -> Path | None:
    """Write `RUN/pictures/progress.gif` from the pictures in `RUN/samples`, unless it is newer than all of them; return its path.

    None where fewer than two can be read. At most 40 frames, each at most 480 pixels wide: some megabytes. Raises Unwritable.
    """
    saved = sorted(run.samples.glob("step_*.png"))
    path = run.path / "pictures" / "progress.gif"
    if path.exists() and saved and path.stat().st_mtime_ns > max(picture.stat().st_mtime_ns for picture in saved):
        return path
    frames = [frame for picture in spread(saved, _FRAMES) if (frame := _frame(picture))]
    if len(frames) < 2:
        return None
    pictures.make_folder(path.parent)
    write_bytes(path, _gif(frames))
    return path


def spread(items: Sequence[Path], count: int) -> list[Path]:
    """Return at most `count` items at even distances, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[round(index * (len(items) - 1) / (count - 1))] for index in range(count)]


def step_of(path: Path) -> str:
    """Return the step of a snapshot in words; raises ValueError for a foreign name."""
    return f"step {int(path.stem.removeprefix('step_')):,}"


def _frame(path: Path) -> Image.Image | None:
    """Return a snapshot under its step; None for a foreign name, or a broken file."""
    try:
        caption = step_of(path)
        with Image.open(path) as opened:
            picture = opened.convert("L" if opened.mode == "L" else "RGB")
    except (OSError, ValueError, SyntaxError):  # as Pillow reports broken files
        return None
    if picture.width > _WIDEST:
        picture = picture.resize((_WIDEST, round(picture.height * _WIDEST / picture.width)), Image.Resampling.LANCZOS)
    frame = Image.new(picture.mode, (picture.width, picture.height + _CAPTION), "white")
    frame.paste(picture, (0, _CAPTION))
    ImageDraw.Draw(frame).text((2, 2), caption, "black")
    return frame


def _gif(frames: Sequence[Image.Image]) -> bytes:
    """Return an animation that is repeated for ever, its last frame shown longer."""
    buffer = io.BytesIO()
    times = [_SHOWN] * (len(frames) - 1) + [_HELD]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
    return buffer.getvalue()
