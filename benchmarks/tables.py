"""Reads a table of a million pairs with words as ids: CPU seconds and memory, beside pyarrow alone.

    python -m benchmarks.tables

Ours goes from the file to row numbers, values and times, with every check; pyarrow reads the same columns and encodes
the two of ids, without any. One process each, one core, five in turn; the median of each.
"""

import csv
import gzip
import importlib
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.children import child_of, measured

ROWS, TURNS = 1_000_000, 5


def written(folder: Path) -> dict[str, Path]:
    """The same pairs as plain, packed and quoted CSV and as Parquet."""
    import pyarrow as pa
    from pyarrow import parquet

    draw = random.Random(0)
    rows = [
        (f"user{draw.randrange(60_000)}", f"B{draw.randrange(40_000):07d}", draw.randint(1, 5), 1_300_000_000 + k)
        for k in range(ROWS)
    ]
    titles = ("user_id", "item_id", "rating", "timestamp")
    files = {kind: folder / f"{kind}.csv" for kind in ("plain", "quoted")}
    for kind, path in files.items():
        with path.open("w", newline="") as stream:
            quoting = csv.QUOTE_ALL if kind == "quoted" else csv.QUOTE_MINIMAL
            csv.writer(stream, quoting=quoting, lineterminator="\n").writerows([titles, *rows])
    files["gzip"] = folder / "packed.csv.gz"
    files["gzip"].write_bytes(gzip.compress(files["plain"].read_bytes(), 6))
    files["parquet"] = folder / "columns.parquet"
    parquet.write_table(pa.table(dict(zip(titles, zip(*rows)))), files["parquet"])
    return files


def ours(path: Path) -> None:
    from socialjax.data.own.options import FolderOptions
    from socialjax.data.own.table_columns import read_pairs_table
    from socialjax.data.pairs_files import assign, collect

    table = read_pairs_table(path, {}, FolderOptions().chosen)
    for kind, column in (("user", table.user), ("item", table.item)):
        ids = collect(kind, [(table.table, column)])
        assert len(assign(ids, list(ids.codes), None).of_code[ids.codes[0]]) == ROWS


def theirs(path: Path) -> None:
    from pyarrow import csv as arrow

    table = arrow.read_csv(path, read_options=arrow.ReadOptions(use_threads=False))
    assert len(table.column(0).dictionary_encode()) == len(table.column(1).dictionary_encode()) == ROWS


def peak() -> float:
    """The most memory of this process so far, MB; what getrusage gives counts that of the process it came from."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def child(reader: str, path: Path) -> None:
    for module in ("pyarrow.compute", "pyarrow.csv", "pyarrow.parquet", "socialjax.data.own.table_columns"):
        importlib.import_module(module)  # counted as imports, not as reading

    memory = peak()
    begin = time.process_time()
    {"ours": ours, "pyarrow": theirs}[reader](path)
    seconds = time.process_time() - begin
    print(json.dumps({"seconds": seconds, "mb": peak() - memory}))


def main() -> None:
    arguments = child_of(__doc__)
    if arguments:
        return child(arguments[0], Path(arguments[1]))
    with tempfile.TemporaryDirectory() as folder:
        files = written(Path(folder))
        cases = [("ours", kind) for kind in files] + [("pyarrow", "plain")]
        runs = {case: [] for case in cases}
        for turn in range(TURNS):
            print(f"turn {turn + 1} of {TURNS}", file=sys.stderr)
            for reader, kind in cases:
                runs[reader, kind].append(measured("benchmarks.tables", "--child", reader, str(files[kind])))
        print("| reader | file | MB | CPU s | peak MB above the imports | times the file |\n|---|---|---|---|---|---|")
        for (reader, kind), results in runs.items():
            size = files[kind].stat().st_size / 2**20
            seconds, mb = (statistics.median(run[key] for run in results) for key in ("seconds", "mb"))
            print(f"| {reader} | {kind} | {size:.0f} | {seconds:.2f} | {mb:.0f} | {mb / size:.1f} |")
        print(json.dumps({f"{reader} {kind}": results for (reader, kind), results in runs.items()}))


if __name__ == "__main__":
    main()
