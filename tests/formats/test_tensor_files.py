"""Tensors come back as they were saved, without PyTorch; whatever else a file asks for is refused and nothing runs."""

import builtins
import collections
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import types
import zipfile

import numpy as np
import pytest

from socialjax.formats.file_bytes import DataError
from socialjax.formats.tensor_files import MAGIC, read_tensors

STORAGES = {"f4": "FloatStorage", "f8": "DoubleStorage", "i8": "LongStorage", "f2": "HalfStorage", "u1": "ByteStorage"}
RNG = np.random.default_rng(0)
SAVED = {
    "conv.weight": RNG.normal(size=(4, 3, 2, 2)).astype(np.float32),
    "conv.bias": RNG.normal(size=4),
    "norm.num_batches_tracked": np.array(7),
    "half": np.array([[1.5, -2]], np.float16),
    "bytes": np.arange(5, dtype=np.uint8),
    "empty": np.zeros((0, 3), np.float32),
}


@pytest.fixture
def torch(monkeypatch):
    """As much of PyTorch's names as its files mention; pickle wants to find them when it writes."""
    made = types.ModuleType("torch"), types.ModuleType("torch._utils")
    made[0]._utils = made[1]
    for name in [*STORAGES.values(), "BFloat16Storage"]:
        setattr(made[0], name, type(name, (), {"__module__": "torch"}))
    for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter"):
        function = types.FunctionType((lambda *_: None).__code__, {}, name)
        function.__module__, function.__qualname__ = "torch._utils", name
        setattr(made[1], name, function)
    for module in made:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return made[0]


class Call:
    """Pickled as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Storage:
    """Written outside the pickle."""

    def __init__(self, kind, key, numbers, number=None):
        self.kind, self.key, self.content = kind, key, numbers.tobytes()
        self.number = numbers.size if number is None else number


def tensor(torch, storage, shape, strides=None, offset=0):
    if strides is None:
        strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    hooks = collections.OrderedDict()
    return Call(torch._utils._rebuild_tensor_v2, storage, offset, tuple(shape), strides, False, hooks)


def state_dict(torch, arrays=None):
    found = collections.OrderedDict()
    for key, (name, array) in enumerate((SAVED if arrays is None else arrays).items()):
        kind = getattr(torch, STORAGES[array.dtype.str[1:]])
        found[name] = tensor(torch, Storage(kind, str(key), array), array.shape)
    found._metadata = collections.OrderedDict({"": {"version": 1}})
    return found


def pickled(value, legacy=False):
    """(pickle, storages by key) as torch.save writes them."""
    storages = {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, found):
            if not isinstance(found, Storage):
                return None
            storages[found.key] = found
            return ("storage", found.kind, found.key, "cpu", found.number, *([None] if legacy else []))

    stream = io.BytesIO()
    Pickler(stream, 2).dump(value)
    return stream.getvalue(), storages


def as_zip(value, compression=zipfile.ZIP_STORED, byteorder=b"little"):
    program, storages = pickled(value)
    return zipped(program, {key: storage.content for key, storage in storages.items()}, compression, byteorder)


def zipped(program, storages, compression=zipfile.ZIP_STORED, byteorder=b"little"):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/byteorder", byteorder)
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)
    return stream.getvalue()


def as_sequence(value, little=True):
    program, storages = pickled(value, legacy=True)
    facts = {"protocol_version": 1001, "little_endian": little, "type_sizes": {"int": 4}}
    parts = [MAGIC, pickle.dumps(1001, 2), pickle.dumps(facts, 2), program, pickle.dumps(sorted(storages), 2)]
    parts += [struct.pack("<q", storages[key].number) + storages[key].content for key in sorted(storages)]
    return b"".join(parts)


def as_safetensors(arrays, change=lambda header: None):
    kinds = {"f4": "F32", "f8": "F64", "i8": "I64", "f2": "F16", "u1": "U8"}
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        place = [len(body), len(body) + array.nbytes]
        header[name] = {"dtype": kinds[array.dtype.str[1:]], "shape": list(array.shape), "data_offsets": place}
        body += array.tobytes()
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def read(content, tmp_path, name="given.pth"):
    (tmp_path / name).write_bytes(content)
    return read_tensors(tmp_path / name).by_name


def assert_same(found, wanted):
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape), name
        np.testing.assert_array_equal(found[name], array)


def test_saved_tensors_come_back_in_every_format(torch, tmp_path):
    for write in (as_zip, as_sequence):
        assert_same(read(write(state_dict(torch)), tmp_path), SAVED)
    assert_same(read(as_safetensors(SAVED), tmp_path, "given.safetensors"), SAVED)


def test_views_share_a_storage_and_may_be_transposed(torch, tmp_path):
    numbers = np.arange(12, dtype=np.float32)
    storage = Storage(torch.FloatStorage, "0", numbers)
    value = {
        "part": tensor(torch, storage, (2, 2), offset=4),
        "turned": tensor(torch, storage, (4, 3), (1, 4)),
        "parameter": Call(torch._utils._rebuild_parameter, tensor(torch, storage, (12,)), True, {}),
    }
    wanted = {"part": numbers[4:8].reshape(2, 2), "turned": numbers.reshape(3, 4).T, "parameter": numbers}
    for write in (as_zip, as_sequence):
        assert_same(read(write(value), tmp_path), wanted)


def test_bfloat16_becomes_float32(torch, tmp_path):
    wanted = {"x": np.array([1.5, -0.0078125, 3e38], np.float32).view(np.uint32) >> 16 << 16}
    wanted["x"] = wanted["x"].astype(np.uint32).view(np.float32)
    halves = (wanted["x"].view(np.uint32) >> 16).astype(np.uint16)
    assert_same(read(as_zip({"x": tensor(torch, Storage(torch.BFloat16Storage, "0", halves), (3,))}), tmp_path), wanted)
    header = json.dumps({"x": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}).encode()
    content = struct.pack("<Q", len(header)) + header + halves.tobytes()
    assert_same(read(content, tmp_path, "given.safetensors"), wanted)


def harmful(tmp_path):
    """What leaves a file when it is unpickled, by name."""
    proof = tmp_path / "it ran"
    code = f"open({str(proof)!r}, 'w').close()"
    return proof, {
        "os.system": Call(os.system, f"touch '{proof}'"),
        "subprocess": Call(subprocess.check_call, ["touch", str(proof)]),
        "eval": Call(eval, code),
        "exec": Call(exec, code),
        "getattr": Call(getattr, Call(builtins.__import__, "os"), "system"),
        "inside a dictionary": collections.OrderedDict(weight=Call(exec, code)),
        "as the name of a storage": {"weight": Storage(Call(exec, code), "0", np.zeros(1))},
    }


@pytest.mark.parametrize("write", [as_zip, as_sequence])
@pytest.mark.parametrize("name", sorted(harmful(__import__("pathlib").Path("somewhere"))[1]))
def test_a_hostile_file_is_refused_and_nothing_of_it_runs(write, name, tmp_path, monkeypatch):
    proof, values = harmful(tmp_path)
    content = write(values[name])
    for loader in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, loader, lambda *_, **__: pytest.fail("unpickled"))
    with pytest.raises(DataError, match=r"given\.pth: wanted a PyTorch file.*nothing of it was run"):
        read(content, tmp_path)
    assert not proof.exists()


def test_the_hostile_files_do_harm_where_they_are_let(tmp_path):
    """Or the test above would show nothing."""
    proof, values = harmful(tmp_path)
    for name in ("os.system", "subprocess", "eval", "exec", "inside a dictionary"):
        pickle.loads(pickled(values[name])[0])
        assert proof.exists(), name
        proof.unlink()


def test_tensors_that_ask_for_more_than_there_is_are_refused(torch, tmp_path):
    numbers = np.zeros(6, np.float32)
    storage, liar = Storage(torch.FloatStorage, "0", numbers), Storage(torch.FloatStorage, "0", numbers, 10**9)
    for value, said in (
        (tensor(torch, storage, (2, 4)), "leaves its storage of 6"),
        (tensor(torch, storage, (2, 3), offset=1), "leaves its storage of 6"),
        (tensor(torch, storage, (10**9,), (0,)), "leaves its storage of 6"),
        (tensor(torch, storage, (2, 3), (-3, 1)), "not whole numbers"),
        (tensor(torch, storage, (2, 3), (1,)), "2 axes with 1 strides"),
        (tensor(torch, storage, ("2", 3), (3, 1)), "not whole numbers"),
        (tensor(torch, liar, (10**9,), (1,)), "damaged"),
        (Call(torch._utils._rebuild_tensor_v2, 1, 2), "unknown form of _rebuild_tensor_v2"),
        ("a text", "'x', which is no tensor"),
    ):
        for write in (as_zip, as_sequence):
            with pytest.raises(DataError, match=said):
                read(write({"x": value}), tmp_path)


def test_archives_that_are_not_pytorchs_are_refused(torch, tmp_path):
    value = state_dict(torch)
    for content, said in (
        (as_zip(value, zipfile.ZIP_DEFLATED), "compressed files"),
        (as_zip(value, byteorder=b"big"), "first byte is the largest"),
        (as_sequence(value, little=False), "first byte is the largest"),
        (as_zip([1, 2]), "something else than a dictionary"),
        (zipped(b"", {}), "damaged"),
        (b"PK\x03\x04 and no archive", "damaged"),
        (b"", "neither a zip archive"),
        (pickle.dumps({}), "neither a zip archive"),
    ):
        with pytest.raises(DataError, match=said):
            read(content, tmp_path)


def test_safetensors_whose_header_lies_are_refused(tmp_path):
    arrays = {"a": SAVED["conv.weight"], "b": SAVED["conv.bias"]}

    def lie(name, **fields):
        return as_safetensors(arrays, lambda header: header[name].update(fields))

    twice = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    for content, said in (
        (lie("a", shape=[4, 3, 2, 3]), "192 bytes up to 192"),
        (lie("b", data_offsets=[200, 232]), "up to 232 of 224"),
        (lie("b", data_offsets=[-32, 0]), "not whole numbers"),
        (lie("b", dtype="F32", shape=[56], data_offsets=[0, 224]), "overlap"),
        (lie("a", dtype="F7"), "the type F7"),
        (struct.pack("<Q", 2**40) + b"{}", "a header of 1099511627776 bytes"),
        (struct.pack("<Q", 2) + b"[]", "safetensors file, got"),
        (struct.pack("<Q", len(twice)) + twice + b"\x00", "a name twice"),
        (struct.pack("<Q", 100_000) + b"[" * 100_000, "safetensors file, got"),
        (b"abc", "safetensors file, got"),
    ):
        with pytest.raises(DataError, match=said):
            read(content, tmp_path, "given.safetensors")


def test_damaged_files_are_data_errors(torch, tmp_path):
    rng, errors = np.random.default_rng(0), 0
    small = {"a": SAVED["conv.bias"], "b": SAVED["bytes"]}
    files = {"z.pth": as_zip(state_dict(torch, small)), "s.pth": as_sequence(state_dict(torch, small))}
    for name, whole in (files | {"t.safetensors": as_safetensors(small)}).items():
        for case in range(150):
            content = bytearray(whole[: rng.integers(1, len(whole))] if case % 3 == 0 else whole)
            for place in rng.integers(len(content), size=rng.integers(1, 5)):
                content[place] = rng.integers(256)
            try:
                read(bytes(content), tmp_path, name)
            except DataError as error:
                errors += name in str(error)
    assert errors > 200
