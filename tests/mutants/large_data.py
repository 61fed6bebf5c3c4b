"""Wrong changes to what is larger than memory: graph folders, their preparation, streams of pairs."""

from tests.mutants.mutant import Mutant

FOLDERS, SORT, STREAM = (
    (f"tests/data/large/test_{name}.py",) for name in ("graph_folders", "external_sort", "pair_stream")
)
MUTANTS = (
    Mutant(
        "large-split-per-piece",
        "socialjax/data/large/stages.py",
        "for pairs in _by_user(self._kept_pairs(rows, at_once)):",
        "for pairs in self._kept_pairs(rows, at_once):",
        FOLDERS,
        "a user whose pairs are read in two pieces is split twice",
    ),
    Mutant(
        "large-range-cut-short",
        "socialjax/data/large/external_sort.py",
        "int(np.searchsorted(self._samples, np.uint64(end))) * self._every",
        "max(int(np.searchsorted(self._samples, np.uint64(end))) - 1, 0) * self._every",
        SORT,
        "the last keys of a range come in a later one",
    ),
    Mutant(
        "large-steps-done-again",
        "socialjax/data/large/steps.py",
        "        if name not in self.done:",
        "        if name != '':",
        FOLDERS,
        "what was finished before an interruption is done again",
    ),
    Mutant(
        "large-folder-of-any-size",
        "socialjax/data/large/layout.py",
        "    if not stat.S_ISREG(about.st_mode) or about.st_size != size:",
        "    if False:",
        FOLDERS,
        "an array is mapped whatever its file is",
    ),
    Mutant(
        "large-core-of-users-alone",
        "socialjax/data/large/numbering.py",
        "inside = users[user] & items[item]",
        "inside = users[user]",
        SORT,
        "items outside the core still count",
    ),
    Mutant(
        "stream-process-in-order",
        "socialjax/data/large/pair_stream.py",
        "range(process_index * share, (process_index + 1) * share)",
        "range(process_index, lanes, process_count)",
        STREAM,
        "the rows of a global batch depend on the number of processes",
    ),
    Mutant(
        "stream-one-order-for-all-epochs",
        "socialjax/data/large/pair_order.py",
        "for number in (epoch, stream, place):",
        "for number in (0, stream, place):",
        STREAM,
        "every epoch has the same batches",
    ),
    Mutant(
        "stream-counts-what-is-ahead",
        "socialjax/data/large/pair_stream.py",
        '        return {"step": self._step, **self._identity}',
        '        return {"step": self._step + self._ahead, **self._identity}',
        STREAM,
        "a restored stream passes over what had been read ahead",
    ),
    Mutant(
        "mapped-steps-redrawn",
        "socialjax/train/mapped.py",
        "Ahead(draws, first, settings.ahead)",
        "Ahead(draws, 0, settings.ahead)",
        ("tests/train/test_mapped_training.py",),
        "a training that goes on draws the first steps' batches again",
    ),
    Mutant(
        "mapped-neighbours-stand-for-one",
        "socialjax/ops/mapped.py",
        "weight[drawn] = self._weights(into, senders[drawn]) * length[drawn].astype(np.float32)",
        "weight[drawn] = self._weights(into, senders[drawn])",
        ("tests/train/test_mapped_training.py",),
        "a drawn neighbour does not weigh as much as those that it stands for",
    ),
    Mutant(
        "mapped-columns-never-tried",
        "socialjax/eval/mapped.py",
        "    if parts > 1 and not by_columns(model):",
        "    if False:",
        ("tests/eval/test_mapped_evaluation.py",),
        "a model whose columns depend on one another is encoded column by column",
    ),
)
