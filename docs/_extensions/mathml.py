"""Mathematics as MathML, converted from LaTeX when the site is built: browsers render it without scripts and without the network.

The font with the glyphs and sizes of mathematics, STIX Two Math (SIL Open Font License), is copied from the package `ziamath`.
"""

from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile
from typing import Any

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

_FONT = "STIXTwoMath-Regular.ttf"
_log = logging.getLogger(__name__)
_converter = LatexToMathML(fancy_error=False)


def mathml(latex: str, *, display: bool, location: Any = None) -> str:
    """Return MathML of LaTeX; a formula that cannot be converted is a warning, and is shown as it is written."""
    try:
        return str(_converter.convert_with_local_state(latex.strip(), displaystyle=display))
    except LatexError as error:
        _log.warning("formula %r: %s", latex, error, location=location, type="mathml")
        return f"<code>{latex.replace('&', '&amp;').replace('<', '&lt;')}</code>"


def _inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(f'<span class="math">{mathml(node.astext(), display=False, location=node)}</span>')
    raise nodes.SkipNode


def _block(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f'<div class="math" tabindex="0">{mathml(node.astext(), display=True, location=node)}</div>\n')
    raise nodes.SkipNode


def _copy_font(app: Sphinx, _exception: Exception | None) -> None:
    package = find_spec("ziamath")
    if app.builder.format == "html" and package and package.origin:
        folder = Path(app.outdir) / "_static"
        folder.mkdir(parents=True, exist_ok=True)
        copyfile(Path(package.origin).parent / "fonts" / _FONT, folder / _FONT)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer, which Sphinx uses instead of MathJax."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.config.html_math_renderer = "mathml"
    app.connect("build-finished", _copy_font)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
