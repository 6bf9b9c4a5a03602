"""The build step that copies the pages of the documentation into the package; all else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

_DOCS = Path(__file__).parent / "docs"


class BuildWithPages(build_py):
    """Builds the package with docs/*/*.md, which `simulacra explain` prints; an editable installation reads docs/ itself."""

    def run(self) -> None:
        """Copy the modules, then the pages."""
        super().run()
        if not self.editable_mode:
            for page in sorted(_DOCS.glob("[!_]*/*.md")):
                copy = Path(self.build_lib, "simulacra", "documentation", "pages", page.relative_to(_DOCS))
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(page, copy)


setup(cmdclass={"build_py": BuildWithPages})
