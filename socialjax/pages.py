"""HTML pages of the templates in `templates`: one base, one style, and every text escaped."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from socialjax.atomic_write import atomic_write
from socialjax.names import visible


def page(template: str, **values) -> str:
    """The page as text.

    Args:
        template: file in `templates` that extends `base.html`.
        **values: what the template names. Texts may come from untrusted files: tags and control characters are
            escaped.

    Raises:
        jinja2.UndefinedError: the template names a value that is not given.
    """
    environment = Environment(
        loader=PackageLoader("socialjax"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)


def write(path: Path, text: str) -> None:
    """Writes a page, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _shown(value):
    """What stands in a page for a value: HTML has no control characters. Markup of templates is as it is."""
    return value if isinstance(value, Markup) else visible(value)
