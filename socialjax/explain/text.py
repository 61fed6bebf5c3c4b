"""Explanations to read in a terminal: parts and the strongest elements, each with a bar."""

from socialjax.names import visible

WIDTH = 32  # characters of the longest bar
LONGEST = 44  # characters of a name
STEP, LONGEST_STEP = " > ", 18  # between the nodes of a path; characters of a node
SHOWN = 8


def report(records: list[dict], limit: int = SHOWN) -> str:
    """Records of `explain.record` as text; generated data are marked in the first and in the last line.

    Args:
        records: of the pairs.
        limit: elements of each part that are listed, at most.
    """
    warning = stand_in(records[0]) if records else ""
    blocks = ["\n".join(_lines(record, limit)) for record in records]
    notes = (group["note"] for record in records for group in record["elements"])
    blocks += dict.fromkeys(filter(None, notes))
    return "\n\n".join([*([warning] if warning else []), *blocks, *([warning] if warning else [])])


def stand_in(record: dict) -> str:
    """The warning for generated data, empty for real data."""
    if record["data"] == "real":
        return ""
    what = f"{record['data'].upper()}: {visible(record['data_set'])} was generated"
    return f"{what}; this says nothing about real users and items"


def heading(record: dict) -> str:
    """Such as `user 5, item 17 "Blue Cafe": score +1.250`."""
    title = "" if str(record["title"]) == str(record["item"]) else f' "{shorten(record["title"])}"'
    pair = f"user {visible(record['user'])}, item {visible(record['item'])}"
    return f"{pair}{title}: score {record['score']:+.3f}"


def shorten(name, longest: int = LONGEST) -> str:
    """Safe to show, and at most `longest` characters."""
    name = visible(name)
    return name if len(name) <= longest else name[: longest - 3] + "..."


def name_of(element: dict, kind: str) -> str:
    """Such as `user 12`, `user 5, through friends`, the title of an item, or the nodes of a path."""
    if element["is_user"]:
        return f"user {visible(element['id'])}, through friends"
    if kind == "path":
        return STEP.join(shorten(step, LONGEST_STEP) for step in element["steps"])
    if kind in ("frame", "attribute"):
        return shorten(element["title"])
    titled = kind == "item" and str(element["title"]) != str(element["id"])
    return shorten(element["title"]) if titled else shorten(f"{kind} {element['id']}")


def rest_of(group: dict, limit: int) -> tuple[int, float]:
    """(how many elements follow the first `limit`, what they add)."""
    later = group["ranked"][limit:]
    rest = group["rest"]
    return len(later) + rest["count"], sum(e["contribution"] for e in later) + rest["contribution"]


def _lines(record: dict, limit: int):
    yield heading(record)
    rows = [(part["label"], part["value"]) for part in record["parts"]]
    yield from _bars(rows, "  ")
    yield f"  {'sum'.ljust(_widest(rows))}  {sum(value for _, value in rows):+8.3f}"
    values = {part["name"]: part["value"] for part in record["parts"]}
    for group in record["elements"]:
        if not group["count"]:
            continue
        yield ""
        noun = group["kind"] + ("s" if group["count"] > 1 else "")
        of = f" ({values[group['part']]:+.3f})" if group["part"] in values else ""
        of += f", {group['first']} {name_of(group['ranked'][0], group['kind'])}" if group["first"] else ""
        estimate = "" if group["exact"] else ", shares estimated by gradient times input"
        yield f"  {group['label']}{of}: {group['count']:,} {noun}{estimate}"
        ranked = group["ranked"][:limit]
        names = [name_of(e, group["kind"]) for e in ranked]
        longest = max(map(len, names), default=0)
        seen = {each["name"]: each for each in record.get("attributes", ())}
        seen = seen if group["kind"] == "attribute" else {}
        figures = [_numbers(e, group["words"]) + _seen(seen.get(str(e["id"]))) for e in ranked]
        named = [f"{name.ljust(longest)}  {figure}" for name, figure in zip(names, figures)]
        yield from _bars([(name, e["contribution"]) for name, e in zip(named, ranked)], "    ")
        count, others = rest_of(group, limit)
        if count:
            yield f"    {f'and {count:,} more'.ljust(max(map(len, named), default=0))}  {others:+8.3f}"


def _numbers(element: dict, words: dict[str, str]) -> str:
    """The weight of an element and its other numbers that the model has labels for."""
    return "  ".join(f"{word} {_number(word, element[name])}" for name, word in words.items())


def _number(word: str, value: float) -> str:
    # Weights of graphs may be tiny; numbers with a label of their own are of the order of 1.
    return f"{value:<8.3g}" if word == "weight" else f"{value:.3f}"


def _seen(attribute: dict | None) -> str:
    """How sure the attribute network is of the class; empty for what is no attribute."""
    if attribute is None:
        return ""
    return f"  class {attribute['class_probability']:4.0%}" + ("  no region" if attribute["box_fallback"] else "")


def _bars(rows: list[tuple[str, float]], indent: str):
    """Names, numbers and bars, `#` for and `-` against, as long as the numbers are large."""
    largest = max((abs(value) for _, value in rows), default=0) or 1.0
    widest = _widest(rows)
    for name, value in rows:
        bar = ("#" if value > 0 else "-") * round(WIDTH * abs(value) / largest)
        yield f"{indent}{name.ljust(widest)}  {value:+8.3f}  {bar}".rstrip()


def _widest(rows: list[tuple[str, float]]) -> int:
    return max((len(name) for name, _ in rows), default=0)
