"""A dot-product model as an ONNX graph: look up, multiply, add the bias, leave out what was taken, take the best."""

from pathlib import Path

import numpy as np

from socialjax.export.answers import Catalogue, check_size
from socialjax.export.id_files import needed, written_with_ids

OPSET, IR = 17, 8  # what ONNX Runtime reads from 1.12 on


def write_graph(path: Path, users: np.ndarray, items: np.ndarray, bias: np.ndarray, catalogue: Catalogue) -> None:
    """Writes a graph that maps `user` i32[b] to `item` i32[b, k] and `score` f32[b, k], best first, for any b.

    Training items of the user are left out; where fewer than k are left, and for a number that is no user's, item is
    -1 and score -inf. The ids of the rows lie beside.

    Args:
        path: ends in `.onnx`.
        users: f32[U, D].
        items: f32[I, D].
        bias: f32[I].
        catalogue: Users, items and what is left out.

    Raises:
        ValueError: for a graph of 2 GiB or more.
        ImportError: without the extra `onnx`.
    """
    onnx = needed("onnx", "onnx", "an ONNX model")
    check_size(users.nbytes + items.nbytes + bias.nbytes + catalogue.seen.nbytes, str(path))
    helper, kind = onnx.helper, onnx.TensorProto
    width = catalogue.num_items
    constants = {
        "users": np.asarray(users, np.float32),
        "items": np.ascontiguousarray(items.T, np.float32),
        "bias": np.asarray(bias, np.float32)[None, :],
        # Never empty: Gather has to have a row to look at, which `held` then ignores.
        "seen": np.append(catalogue.seen, 0).astype(np.int32),
        "offsets": np.asarray(catalogue.offsets[:-1], np.int32),
        "ends": np.asarray(catalogue.offsets[1:], np.int32),
        "last_user": np.int32(len(users) - 1),
        "zero": np.int32(0),
        "one": np.int32(1),
        "nothing": np.int32(-1),
        "outside": np.int32(width),
        "lowest": np.float32(-np.inf),
        "columns": np.array([1], np.int64),
        "from": np.array([0], np.int64),
        "to": np.array([width], np.int64),
        "k": np.array([catalogue.k], np.int64),
    }
    # One more column than items takes what is no training item of a shorter history than the batch's longest.
    nodes = [
        ("Clip", "user zero last_user", "row"),
        ("Gather", "users row", "vector"),
        ("MatMul", "vector items", "product"),
        ("Add", "product bias", "all_scores"),
        ("Gather", "offsets row", "begin"),
        ("Gather", "ends row", "end"),
        ("Sub", "end begin", "count"),
        ("ReduceMax", "count", "longest", {"keepdims": 0}),
        ("Range", "zero longest one", "place"),
        ("Unsqueeze", "begin columns", "begin_column"),
        ("Unsqueeze", "count columns", "count_column"),
        ("Less", "place count_column", "held"),
        ("Add", "begin_column place", "entry"),
        ("Where", "held entry zero", "safe_entry"),
        ("Gather", "seen safe_entry", "entry_item"),
        ("Where", "held entry_item outside", "taken"),
        ("Shape", "taken", "taken_shape"),
        ("Expand", "lowest taken_shape", "lowest_scores"),
        ("Pad", "all_scores widths", "padded"),
        ("ScatterElements", "padded taken lowest_scores", "scattered", {"axis": 1}),
        ("Slice", "scattered from to columns", "kept_scores"),
        ("Equal", "user row", "is_user"),
        ("Unsqueeze", "is_user columns", "is_user_column"),
        ("Where", "is_user_column kept_scores lowest", "open_scores"),
        ("TopK", "open_scores k", "score best", {"axis": 1, "largest": 1, "sorted": 1}),
        ("Cast", "best", "best_item", {"to": kind.INT32}),
        ("Greater", "score lowest", "is_left"),
        ("Where", "is_left best_item nothing", "item"),
    ]
    constants["widths"] = np.array([0, 0, 0, 1], np.int64)
    graph = helper.make_graph(
        [
            helper.make_node(op, taken.split(), given.split(), **(more[0] if more else {}))
            for op, taken, given, *more in nodes
        ],
        "recommend",
        [helper.make_tensor_value_info("user", kind.INT32, ["b"])],
        [
            helper.make_tensor_value_info("item", kind.INT32, ["b", catalogue.k]),
            helper.make_tensor_value_info("score", kind.FLOAT, ["b", catalogue.k]),
        ],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    whole = helper.make_model(graph, opset_imports=[opset], ir_version=IR, producer_name="socialjax")
    onnx.checker.check_model(whole)
    with written_with_ids(path, catalogue.user_ids, catalogue.item_ids, **catalogue.beside()) as temporary:
        temporary.write_bytes(whole.SerializeToString())
