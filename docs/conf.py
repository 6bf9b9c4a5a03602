"""Settings of the documentation site: `make docs` builds it with Sphinx, without the network."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_extensions"))

project = "Simulacra"
author = "the authors of Simulacra"
version = release = version_of("simulacra")
language = "en"

# Extensions of docs/_extensions: one concept per file.
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "github_markdown",
    "repository_links",
    "navigation",
    "mathml",
    "layer_diagram",
    "docstrings",
    "api_pages",
    "command_pages",
    "gallery",
    "quiz" if (DOCS / "_extensions" / "quiz.py").exists() else "quiz_fallback",
]

source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["_extensions", "course/figures/*.md"]

# Markdown as GitHub reads it.
myst_enable_extensions = ["dollarmath", "attrs_inline"]
myst_heading_anchors = 6
myst_dmath_allow_labels = False
myst_dmath_double_inline = True
nb_execution_mode = "off"
nb_merge_streams = True

# Annotations name types of torch, numpy and of modules without a page: they are not links.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r".*")]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "Simulacra"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
pygments_style = "friendly"
pygments_dark_style = "github-dark"
