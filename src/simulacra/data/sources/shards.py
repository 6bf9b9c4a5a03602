"""Images in tar shards of the WebDataset layout: streamed, where they are more than fit on a disk once decoded."""

from pathlib import Path

from simulacra.core.errors import DataError, UsageError
from simulacra.core.progress import Progress
from simulacra.data.settings import DataConfig
from simulacra.data.shards.index import read_index
from simulacra.data.source import Material


class Shards:
    """A folder of tar archives with numbers, each with images and their classes side by side."""

    name = "shards"
    summary = "a folder of tar shards in WebDataset layout (--path): streamed, never decoded whole"
    size = ""

    def place(self) -> str | None:
        """Return that the images are the user's."""
        return "your own"

    def find(self, config: DataConfig, progress: Progress) -> Material:
        """Return the shards at config.path; raises DataError where there are none."""
        folder = Path(config.path).expanduser()
        if config.test_path:
            raise UsageError("--test-path is not for shards, which are told apart by name: call them test-000000.tar and so on")
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder: give the folder that holds the shards")
        from simulacra.data.shards.opening import material  # here, since it needs torch and a list of sources does not

        return material(read_index(folder, config.validation, progress), config)


SOURCE = Shards()
