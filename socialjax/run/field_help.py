"""What the fields of a model mean, taken from its docstring and those of its bases, for the command line."""

import dataclasses
import re
import typing
from typing import Any

import tyro

# `l2: lambda on ...` and `dim, visual_dim: of u and w.` at the start or after a sentence.
NAMED = re.compile(r"(?:^|(?<=[.;:)] ))(\w+(?:(?:, | and )\w+)*): ")


def field_texts(kind: type) -> dict[str, str]:
    """Field -> what its class says of it, without the full stop; the class that comes first in the order of
    inheritance has the word. A field of which none says `name: text` gets the first sentence that it is named in, and
    one that no docstring names is left out."""
    fields = {field.name for field in dataclasses.fields(kind)}
    found: dict[str, str] = {}
    mentioned: dict[str, str] = {}
    for base in kind.__mro__:
        for paragraph in re.split(r"\n\s*\n", vars(base).get("__doc__") or ""):
            text = " ".join(paragraph.split())
            places = [m for m in NAMED.finditer(text) if fields.issuperset(_names(m))]
            for match, end in zip(places, [*(m.start() for m in places[1:]), len(text)]):
                for name in _names(match):
                    found.setdefault(name, text[match.end() : end].strip().rstrip("."))
            for sentence in re.split(r"(?<=[.;]) ", text):
                for name in fields.intersection(re.findall(r"\w+", sentence)):
                    mentioned.setdefault(name, sentence.rstrip(".;"))
    return mentioned | found


def options(model: Any) -> Any:
    """A plain dataclass with the model's fields, its values as defaults, and `field_texts` as help for tyro."""
    kind = type(model)
    texts, hints = field_texts(kind), typing.get_type_hints(kind, include_extras=True)
    made = dataclasses.make_dataclass(
        kind.__name__,
        [
            (
                field.name,
                typing.Annotated[hints[field.name], tyro.conf.arg(help=texts.get(field.name, ""))],
                dataclasses.field(default=getattr(model, field.name)),
            )
            for field in dataclasses.fields(kind)
        ],
        namespace={
            "__doc__": (kind.__doc__ or "").partition("\n\n")[0],
            "__post_init__": lambda self: kind(**vars(self)) and None,  # what the model refuses, tyro tells as its own
        },
        frozen=True,
    )
    return made()


def _names(match: re.Match) -> list[str]:
    return re.split(r", | and ", match[1])
