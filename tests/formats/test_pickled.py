"""Object arrays come back as they were written; whatever else a pickle asks for is refused and nothing of it runs."""

import builtins
import collections
import io
import os
import pickle
import struct
import subprocess
import tracemalloc

import numpy as np
import pytest

from socialjax.formats import pickled
from socialjax.formats.file_bytes import DataError, FileBytes, read_bytes
from socialjax.formats.pickled import read_objects

HEADER = {"fortran_order": False, "descr": "|O"}


def npy(body, shape=()):
    """The bytes of a .npy file with this body."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, HEADER | {"shape": shape})
    return stream.getvalue() + body


def read(content, tmp_path):
    (tmp_path / "given.npy").write_bytes(content)
    return read_objects(read_bytes(tmp_path / "given.npy"))


def saved(values, tmp_path):
    """As np.save writes it."""
    np.save(tmp_path / "saved.npy", values, allow_pickle=True)
    return (tmp_path / "saved.npy").read_bytes()


def objects(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


def single(value):
    array = np.empty((), object)
    array[()] = value
    return array


FAVOURITES = collections.defaultdict(set, {0: {3, 700, 70_000}, 1: set(), 5: {2**31}})


UNEVEN = [1, 2, 300], [], [70_000, 2**40, -1]
ADMITTED = (
    (single(FAVOURITES), dict(FAVOURITES)),
    (single({0: 24484, 1: 17483}), {0: 24484, 1: 17483}),
    (single({"Zürich": [1], "b": [{1}, {2: "x"}]}), {"Zürich": [1], "b": [{1}, {2: "x"}]}),
    (objects(*UNEVEN), list(UNEVEN)),
)


@pytest.mark.parametrize("array, wanted", ADMITTED)
def test_what_is_admitted_comes_back_as_it_was(array, wanted, tmp_path):
    written = [npy(pickle.dumps(array, protocol), array.shape) for protocol in (3, 4)]
    for content in (saved(array, tmp_path), npy(python2(array), array.shape), *written):
        assert read(content, tmp_path) == wanted


def test_integer_arrays_inside_come_back_as_lists(tmp_path):
    array = objects(np.arange(3), np.array([9], np.int32), np.int64(4), np.arange(2, dtype=np.uint8))
    assert read(saved(array, tmp_path), tmp_path) == [[0, 1, 2], [9], 4, [0, 1]]


def python2(array):
    """The pickle that Python 2 writes for an array of objects, whose content is pickled by protocol 2."""
    content = pickle.dumps(array.reshape(-1).tolist(), 2)
    shape = b")" if array.shape == () else b"K" + bytes([len(array)]) + b"\x85"
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + shape
        + b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb\x89"
        + content[2:-1]
        + b"tb."
    )


def test_a_text_of_python_2_is_latin1(tmp_path):
    body = python2(single({})).replace(b"}", b"}U\x06Z\xfcrichK\x01s")
    assert read(npy(body), tmp_path) == {"Zürich": 1}


class Call:
    """Pickled as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def harmful(tmp_path):
    """Pickles that leave a file when they run, by name."""
    proof = tmp_path / "it ran"
    command = f"touch '{proof}'"
    code = f"open({str(proof)!r}, 'w').close()"
    getter = Call(getattr, Call(builtins.__import__, "os"), "system")

    class Chain:
        def __reduce__(self):
            return getter, (command,)

    found = {
        "os.system": Call(os.system, command),
        "subprocess": Call(subprocess.check_call, ["touch", str(proof)]),
        "eval": Call(eval, code),
        "exec": Call(exec, code),
        "import": Call(builtins.__import__, "os"),
        "getattr chain": Call(getattr, Call(getattr, set, "__class__"), "mro"),
        "open": Call(open, str(proof), "w"),
    }
    pickles = {name: pickle.dumps(single(value), 4) for name, value in found.items()}
    pickles["bare call, no array"] = pickle.dumps(found["os.system"], 4)
    pickles["inside a set of favourites"] = pickle.dumps(single({0: [found["eval"]]}), 4)
    touch = command.encode()
    text = b"U" + bytes([len(touch)]) + touch
    nested = b"\x8c\x05numpy\x8c\x1blib.npyio.os.path.os.system\x93"
    pickles["nested module path"] = b"\x80\x04" + nested + text + b"\x85R."
    pickles["nested path below an admitted name"] = b"\x80\x04\x8c\x08builtins\x8c\x0cset.__init__\x93)R."
    pickles["INST"] = b"(" + text + b"ios\nsystem\n."
    pickles["OBJ"] = b"(cos\nsystem\n" + text + b"o."
    pickles["NEWOBJ"] = b"\x80\x02cnumpy\nndarray\nK\x09\x85\x81."
    pickles["extension registry"] = b"\x80\x02\x82\x01."
    pickles["persistent id"] = b"Pos.system\n."
    return proof, pickles


NAMES = sorted(harmful(__import__("pathlib").Path("somewhere"))[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_file_is_refused_and_nothing_of_it_runs(name, tmp_path, monkeypatch):
    proof, pickles = harmful(tmp_path)
    for loader in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, loader, lambda *_, **__: pytest.fail("unpickled"))
    with pytest.raises(DataError, match=r"given\.npy: wanted a pickle of dict.*nothing of it was run"):
        read(npy(pickles[name]), tmp_path)
    assert not proof.exists()


def test_the_hostile_files_do_harm_where_they_are_let(tmp_path):
    """Or the test above would show nothing."""
    proof, pickles = harmful(tmp_path)
    for name in ("os.system", "subprocess", "eval", "exec", "inside a set of favourites", "INST", "OBJ"):
        pickle.loads(pickles[name], encoding="latin1")
        assert proof.exists(), name
        proof.unlink()


def test_the_message_says_what_was_refused(tmp_path):
    for value, said in ((Call(os.system, "x"), "posix.system"), (Call(eval, "x"), "builtins.eval")):
        with pytest.raises(DataError, match=f"got {said}"):
            read(npy(pickle.dumps(single(value), 4)), tmp_path)


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
DTYPE = b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R"
LARGE = b"J" + struct.pack("<i", 2**30)
# Admitted names called in ways in which NumPy or Python would crash, hang or fill the memory.
ABUSED = {
    "a call of _reconstruct": b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + LARGE + b"\x85U\x01b\x87R.",
    "a call of ndarray": b"cnumpy\nndarray\n" + LARGE + LARGE + b"\x86\x85R.",
    "a call of dtype": b"cnumpy\ndtype\n(U\x0aS999999999tR.",
    "a call of defaultdict with the name _reconstruct": b"ccollections\ndefaultdict\n"
    b"cnumpy.core.multiarray\n_reconstruct\n\x85R.",
    "a tuple as an element of a set": b"c__builtin__\nset\n](K\x01K\x02ta\x85R.",
    "a tuple as an element of a set or a key": b"}K\x01\x85K\x02s.",
    "a list as an element": b"}]K\x02s.",
    # Bytes taken for pointers: the flags of a dtype of objects say that it holds none.
    "a str as the 1 objects": ARRAY + b"(K\x01K\x01\x85" + DTYPE
    + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08AAAAAAAAtb.",
    "a state for a list": b"]}U\x01aK\x01sb.",
    "a state for the name set": b"c__builtin__\nset\n}U\x01aK\x01sb.",
    "a state for a dtype": DTYPE + b"(K\x03U\x01|U\x01aNNK\x00K\x00K\x00tb.",
    "a call of a list": b"])R.",
    "beyond 64-bit": b"\x8a\x0c" + b"\x7f" * 12 + b".",
    "a truth value": b"I01\n.",
    "the operation LONG4": b"\x8b" + struct.pack("<i", 4) + b"\x01\x02\x03\x04.",
    "pickle protocol 99": b"\x80\x63.",
    "more than one object": b"K\x01K\x02.",
    "a int instead of an array": b"K\x01.",
    "sets of more elements than the file has bytes": b"](" + b"K\x01" * 400
    + b"eq\x00c__builtin__\nset\nq\x01h\x00\x85R" + b"h\x01h\x00\x85R" * 50 + b".",
    "an array of shape (3,) under a header of shape ()": ARRAY + b"(K\x01K\x03\x85" + DTYPE
    + b"\x89](K\x01K\x02K\x03etb.",
}  # fmt: skip


@pytest.mark.parametrize("said", ABUSED)
def test_admitted_names_are_not_called_with_hostile_arguments(said, tmp_path):
    with pytest.raises(DataError, match="nothing of it was run") as error:
        read(npy(ABUSED[said]), tmp_path)
    assert said in str(error.value)


def test_shared_and_deep_tuples_end_at_once(tmp_path):
    doubled = b"K\x01\x85" + b"".join(b"q%c%s\x86" % (k, b"h%c" % k) for k in range(60))
    deep = b")" + b"\x85" * 200_000
    for body in (doubled, deep):
        with pytest.raises(DataError, match="a tuple as an element of a set or a key"):
            read(npy(b"}" + body + b"K\x02s."), tmp_path)


def test_damaged_files_are_data_errors(tmp_path):
    whole = npy(python2(single({1: [2, 3], 4: {5}})))
    assert read(whole, tmp_path) == {1: [2, 3], 4: {5}}
    rng, errors = np.random.default_rng(0), 0
    for case in range(500):
        content = bytearray(whole[: rng.integers(1, len(whole))] if case % 3 == 0 else whole)
        for place in rng.integers(len(content), size=rng.integers(0, 4)):
            content[place] = rng.integers(256)
        try:
            read(bytes(content), tmp_path)
        except DataError as error:
            errors += "given.npy" in str(error)
    assert errors > 300


def test_arrays_of_other_kinds_and_large_files_are_refused(tmp_path, monkeypatch):
    np.save(tmp_path / "n.npy", np.arange(3))
    with pytest.raises(DataError, match="wanted an array of objects"):
        read_objects(read_bytes(tmp_path / "n.npy"))
    with pytest.raises(DataError, match=r"wanted an array of objects of shape \(\) or \(n,\), got object \(2, 2\)"):
        read(npy(b".", (2, 2)), tmp_path)
    monkeypatch.setattr("socialjax.formats.pickled.LARGEST", 100)
    with pytest.raises(DataError, match="at most 100 bytes"):
        read_objects(FileBytes(tmp_path / "x.npy", b"0" * 101, ""))


@pytest.mark.parametrize(
    "opcode", [b"\x8f", b"}", b"]", b"N\x94", b"\x8c\x01x", b"K\x01\x94", b"N\x85", b"(l", b"(d", b"(t"]
)
def test_a_byte_that_asks_for_a_hundred_has_a_limit(tmp_path, monkeypatch, opcode):
    """One opcode of a byte makes a set of 216; the file's size says how much may be asked for in all."""
    monkeypatch.setattr(pickled, "ALWAYS_FINE", 1 << 20)
    path = tmp_path / "many.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(b"\x80\x04" + opcode * (300_000 // len(opcode)) + b".")
    tracemalloc.start()
    with pytest.raises(DataError, match=r"more memory than a file of this size|more than one object"):
        pickled.read_objects(read_bytes(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * ((1 << 20) + 16 * path.stat().st_size)
