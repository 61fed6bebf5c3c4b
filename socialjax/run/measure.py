"""What is measured of a model on a data set: metrics under a protocol, by group, and of key frames."""

from socialjax.data.schema import Dataset
from socialjax.eval import corrected, groups, keyframes, protocol, ranking
from socialjax.eval.metrics import Result
from socialjax.eval.significance import mean_interval


def measured(model, state, data: Dataset, candidates: protocol.Candidates) -> tuple[Result, dict[str, float]]:
    """Evaluates a model on candidates.

    Args:
        model: the model.
        state: what its `encode` returned.
        data: the data set.
        candidates: of one protocol and part.

    Returns:
        The metrics of each user and, for strict sampled candidates of the test part, estimates of the full metrics by
        name (else empty).
    """
    result = ranking.evaluate_state(model, state, candidates)
    if candidates.protocol.num_negatives is None or not candidates.protocol.strict or candidates.part != "test":
        return result, {}
    masked = groups.interaction_counts(data)[candidates.users]
    population = corrected.populations(data.num_items, masked, candidates.positives.lengths())
    return result, corrected.estimate(result.positives.counts, population)


def by_sparsity(data: Dataset, result: Result) -> dict:
    """Means by sparsity: training interactions of users and of items and, with links, social degree."""
    means = {
        "interactions": groups.by_group(result, groups.interaction_counts(data)),
        "item interactions": groups.by_item_group(result, groups.item_counts(data)),
    }
    if data.links is not None:
        degrees = groups.social_degrees(data.links, data.num_users)
        means["social degree"] = groups.by_group(result, degrees, groups.FINE_BOUNDS)
    return means


def key_frames(model, state, side, data: Dataset) -> tuple[dict, keyframes.FrameResult] | None:
    """Key-frame metrics of a model that ranks frames, as a summary and by record; None for other models or data.

    The figures have chance in closed form beside each metric and, of a model that trains on some of an item's frames
    alone, `truncated`, the share it does not see at once.
    """
    records = keyframes.records(data)
    if records is None or not model.traits.ranks_frames:
        return None
    result = keyframes.frame_metrics(keyframes.record_scores(model, state, side, records), records)
    truncated = {"truncated": model.truncated(side)} if model.traits.samples_frames else {}
    return result.summary() | truncated, result


def key_frames_over_seeds(seeds: list[dict]) -> dict:
    """The key-frame metrics of all seeds: {metric: mean, ci95 and values over seeds, within, random}, and the counts.

    within: half the width of each seed's own interval, clustered by user, the widest of them.
    """
    metrics = {}
    for name, first in seeds[0]["metrics"].items():
        per_seed = [seed["metrics"][name] for seed in seeds]
        mean, half = mean_interval([metric["mean"] for metric in per_seed])
        widths = [metric["ci95"] for metric in per_seed if metric["ci95"] is not None]
        per_user = [metric["per_user"] for metric in per_seed]
        metrics[name] = {"mean": mean, "ci95": half, "values": [metric["mean"] for metric in per_seed]}
        metrics[name] |= {"within": max(widths, default=None), "per_user": per_user, "random": first["random"]}
    return {**seeds[0], "metrics": metrics}
