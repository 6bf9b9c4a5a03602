"""Images in tar shards of the WebDataset layout, which are streamed."""

from simulacra.core.errors import DataError, UsageError
from simulacra.core.home import expand_home
from simulacra.core.progress import Progress
from simulacra.data.settings import DataConfig
from simulacra.data.shards.index import read_index
from simulacra.data.source import LocalSource, Material


def _find(config: DataConfig, progress: Progress) -> Material:
    """Return the shards at config.path; raises DataError if there are none."""
    folder = expand_home(config.path)
    if config.test_path:
        advice = "name test shards test-000000.tar and so on"
        raise UsageError(f"--test-path is not for shards, whose split is in their name: {advice}")
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: give the folder that contains the shards")
    from simulacra.data.shards.opening import material  # imported here, since it needs torch and listing sources must not

    return material(read_index(folder, config.validation, progress), config)


_SUMMARY = "a folder of tar shards in WebDataset layout (--path): streamed during training"
SOURCE = LocalSource("shards", _SUMMARY, "", "your own", _find)
