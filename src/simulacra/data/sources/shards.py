"""Images in tar shards of the WebDataset layout, which are streamed."""

from pathlib import Path

from simulacra.core.errors import DataError, UsageError
from simulacra.core.progress import Progress
from simulacra.data.settings import DataConfig
from simulacra.data.shards.index import read_index
from simulacra.data.source import Material


class Shards:
    """A folder of numbered tar archives, each with images and their classes."""

    name = "shards"
    summary = "a folder of tar shards in WebDataset layout (--path): streamed during training"
    size = ""

    def place(self) -> str | None:
        """Return that the images belong to the user."""
        return "your own"

    def find(self, config: DataConfig, progress: Progress) -> Material:
        """Return the shards at config.path; raises DataError if there are none."""
        folder = Path(config.path).expanduser()
        if config.test_path:
            raise UsageError(
                "--test-path is not for shards, whose split is in their name: name test shards test-000000.tar and so on"
            )
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder: give the folder that contains the shards")
        from simulacra.data.shards.opening import material  # imported here, since it needs torch and listing sources must not

        return material(read_index(folder, config.validation, progress), config)


SOURCE = Shards()
