"""Pages: self-contained HTML files from the templates in this package."""

from collections.abc import Mapping
from typing import Any


def page(template: str, content: Mapping[str, Any]) -> str:
    """Return a page; the content is escaped, and a missing name raises an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("simulacra", "reports/templates")
    place = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return place.get_template(template).render(content)
