"""A graph folder is made of pairs and links that do not fit in memory, in steps that are recorded."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from socialjax.data.large import stages
from socialjax.data.large.inputs import Source
from socialjax.data.large.layout import FORMAT, META, VERSION, GraphFolder, Meta, open_graph
from socialjax.data.large.settings import PrepareSettings, Room
from socialjax.data.large.steps import WORK, Journal, write_json
from socialjax.formats.file_bytes import DataError
from socialjax.names import visible


def prepare(
    folder: Path | str,
    pairs: Source,
    links: Source | None = None,
    settings: PrepareSettings | None = None,
    progress: bool = True,
) -> GraphFolder:
    """The graph folder of pairs and links: made, finished where it was interrupted, or as it is.

    Rows that occur twice, links of users to themselves and links of users who are in no pair of the k-core are dropped,
    which is noted. Row numbers follow the order of integer ids, and of the hashes of ids that are text.

    Memory: at most `memory_bytes`, of which users and items take up to 40 bytes each and the rest is for buffers.
    Disk: up to 24 bytes a pair and link besides the folder itself.

    Args:
        folder: new, empty, half prepared or prepared.
        pairs: users and items.
        links: followers and followees.
        settings: `PrepareSettings()` by default.
        progress: whether to show progress bars.

    Returns:
        The open folder.

    Raises:
        DataError: input that cannot be used, or a folder of something else.
        NotEnoughMemory: `memory_bytes` is too little for so many users and items.
        Interrupted: the program was asked to stop; the same call goes on.
    """
    folder, settings = Path(folder), settings or PrepareSettings()
    described = _described(pairs, links, settings)
    if (folder / META).exists():
        graph = open_graph(folder)
        if graph.meta.settings != described or graph.meta.name != settings.name:
            raise DataError(f"{visible(folder)}: holds what was prepared by other settings; choose another folder")
        shutil.rmtree(folder / WORK, ignore_errors=True)  # where the end of `finish` was cut off
        return graph
    identity = {"settings": described, "name": settings.name, "pairs": pairs.identity()}
    identity["links"] = None if links is None else links.identity()
    with Journal.of(folder, identity) as journal:
        stage = stages.Stages(journal, settings, Room(settings.memory_bytes), progress)
        _run(journal, stage, pairs, links, settings)
        _finish(journal, settings, described, links is not None)
    return open_graph(folder)


def _run(journal: Journal, stage: stages.Stages, pairs: Source, links: Source | None, settings: PrepareSettings):
    numbered = settings.ids == "row numbers"
    if not numbered:
        journal.step("read pairs", lambda: stage.read(pairs, "pair", "users", "items"))
        if links is not None:
            journal.step("read links", lambda: stage.read(links, "link", "linked", "linked"))
    journal.step("sort pairs", lambda: stage.sort_pairs(pairs if numbered else None), ("pair_raw",))
    journal.step("k-core", stage.core)
    if not numbered:
        texts = ("users_texts", "items_texts", "linked_texts")
        journal.step("number", lambda: stage.number(links is not None), texts)
    journal.step("split", stage.split, ("pair_sorted",))
    journal.step("users of items", stage.item_users)
    if links is not None:
        journal.step("links", lambda: stage.follows(links if numbered else None), ("link_raw",))
        journal.step("links reversed", stage.followed_by)


def _finish(journal: Journal, settings: PrepareSettings, described: dict[str, Any], has_links: bool) -> None:
    arrays = {name: file for done in journal.done.values() for name, file in done.arrays.items()}
    numbered = settings.ids == "row numbers"
    meta = Meta(
        format=FORMAT,
        version=VERSION,
        name=settings.name,
        num_users=settings.num_users if numbered else journal.fact("num_users"),
        num_items=settings.num_items if numbered else journal.fact("num_items"),
        user_ids="row numbers" if numbered else journal.fact("user_ids"),
        item_ids="row numbers" if numbered else journal.fact("item_ids"),
        links=has_links,
        arrays=dict(sorted(arrays.items())),
        settings=described,
        notes=tuple(note for done in journal.done.values() for note in done.notes),
    )
    write_json(journal.folder / META, dataclasses.asdict(meta))
    journal.finish()


def _described(pairs: Source, links: Source | None, settings: PrepareSettings) -> dict[str, Any]:
    """What a folder says of its making, as JSON."""
    of_split = {"ratios": list(settings.ratios)} if settings.split == "ratio" else {}
    return {
        "pairs": pairs.origin(),
        "links": None if links is None else links.origin(),
        "ids": settings.ids,
        "k_core": settings.k_core,
        "split": settings.split,
        **of_split,
        "seed": settings.seed,
    }
