"""A Yelp of three users and four items, published on the server of these tests with features beside it."""

import dataclasses
import hashlib
import io

import numpy as np

from socialjax.data.sets import PUBLISHED, diffnet
from socialjax.data.sets.published import RemoteFile

PATH = "/tree/yelp"
SMALL = {
    "yelp.train.rating": b"0\t0\t1\n0\t1\t1\n1\t1\t1\n2\t0\t1\n",
    "yelp.val.rating": b"1\t2\t1\n",
    "yelp.test.rating": b"0\t3\t1\n2\t3\t1\n",
    "yelp.links": b"0\t1\t1\n1\t2\t1\n",
}
FEATURES = ("user_vector.npy", "item_vector.npy")


def packed(table):
    file = io.BytesIO()
    np.save(file, table)
    return file.getvalue()


def publish(server, monkeypatch, files, users, items):
    """Puts the files of Yelp and features of that many rows on the server, and their checksums into the registry."""
    tables = [packed(np.arange(2.0 * rows, dtype=np.float32).reshape(rows, 2)) for rows in (users, items)]
    server.tree |= {f"{PATH}/{name}": content for name, content in (files | dict(zip(FEATURES, tables))).items()}
    optional = tuple(
        RemoteFile(name, blob=hashlib.sha1(b"blob %d\0" % len(table) + table).hexdigest())
        for name, table in zip(FEATURES, tables)
    )
    entry = dataclasses.replace(PUBLISHED["yelp"], addresses=(f"{server.address}{PATH}",), optional=optional)
    if files is SMALL:
        entry = dataclasses.replace(
            entry,
            files=tuple(RemoteFile(name, text=hashlib.sha256(text).hexdigest()) for name, text in files.items()),
            facts={},
            read=lambda folder, seed: diffnet.read(folder, "yelp", None, users, items, features=False),
        )
    monkeypatch.setitem(PUBLISHED, "yelp", entry)


def content_of(server, name):
    """What the server publishes under that name."""
    return server.tree[f"{PATH}/{name}"]
