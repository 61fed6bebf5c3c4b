"""Docstrings as text: `<u, v>` of a formula is no HTML, which the API reference would swallow."""

import re
from typing import Any

import griffe

CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.S)


def escaped(text: str) -> str:
    """The text with `<` as an entity, except in code."""
    parts = CODE.split(text)
    return "".join(part if CODE.fullmatch(part) else part.replace("<", "&lt;") for part in parts)


class EscapedDocstrings(griffe.Extension):
    """Changes every docstring that is read."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = escaped(obj.docstring.value)
