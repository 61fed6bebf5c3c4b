"""Records of runs that never ran."""

from socialjax.run.record import RunRecord


def record_of(**changed) -> RunRecord:
    """One seed of BPR with nothing measured, but for what is `changed`."""
    base = {
        "dataset": "yelp",
        "data": "real",
        "features": "none",
        "model": "bpr",
        "protocol": "sampled1000-strict",
        "seeds": [0],
        "metrics": {},
        "also": {},
        "groups": [{}],
        "references": {},
        "commit": "unknown",
        "settings": {"model": {}, "data": {}, "train": {}, "eval": {"protocol": "sampled1000-strict", "seed": 0}},
        "provenance": {"kind": "real", "files": {}},
        "epoch": [1],
        "seconds": {"train": 0.0, "eval": 0.0, "test": 0.0, "total": 0.0},
        "pairs_per_second": 1.0,
        "peak_memory_bytes": 1,
        "device": "1 x cpu",
    }
    return RunRecord(**base | changed)
