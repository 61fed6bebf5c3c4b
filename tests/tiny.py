"""The small folder of data and the short training that tests of runs share."""

import numpy as np

USERS, ITEMS = 24, 16
ODD_TITLE = "\x9d0;owned\x9c \u202eevil \x9b31m\u2066"  # a terminal would obey it
TINY = {"epochs": 2, "batch_size": 64, "evaluate_every": 1, "patience": 0, "quiet": True}


def write_folder(folder, name, user, item, links=True):
    """A checkerboard: even users take even items; everybody follows the next two users of their kind."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for u in range(USERS):
        rows += [f"{user(u)}\t{item(i)}\t1\n" for i in rng.permutation(np.arange(u % 2, ITEMS, 2))[:6]]
    rows += [f"{user(u)}\t{item((u % 2) + 2 * (u % 8))}\t1\n" for u in range(USERS)]  # every item occurs
    (folder / f"{name}.rating").write_text("".join(dict.fromkeys(rows)))
    if links:
        lines = [f"{user(u)}\t{user((u + step) % (USERS - 1))}\n" for u in range(USERS - 1) for step in (2, 4)]
        (folder / f"{name}.links").write_text("".join(lines))
    (folder / f"{name}.items").write_text("".join(f"{item(i)}\tTitle {i} $x_$ é\n" for i in range(ITEMS - 1)))
