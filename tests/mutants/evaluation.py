"""Mutants of what is measured: negatives, ranking, metrics, significance, estimates, groups, tables."""

from tests.mutants.mutant import Mutant

METRICS = (
    "tests/eval/test_metrics.py::test_metrics_by_hand",
    "tests/eval/test_metrics.py::test_metrics_are_the_mean_over_all_orders_of_tied_scores",
    "tests/eval/test_metrics.py::test_hr_divides_by_the_smaller_of_positives_and_k",
    "tests/eval/test_metrics.py::test_auc_counts_pairs_and_half_of_the_ties",
)
COUNTS = ("tests/eval/test_ranking.py::test_counts_equal_numpy_in_blocks_of_any_size",)
NO_NUMBER = ("tests/eval/test_ranking.py::test_a_score_that_is_no_number_is_never_a_low_one",)
TOP_K = ("tests/eval/test_ranking.py::test_top_k_equals_a_sort",)
INTERVAL = ("tests/eval/test_significance.py::test_interval_over_seeds_by_hand",)
PAIRED = ("tests/eval/test_significance.py::test_paired_tests_agree_with_flipping_signs",)
HOLM = ("tests/eval/test_significance.py::test_holm_by_hand",)
SOLUTION = ("tests/eval/test_corrected.py::test_the_solution_minimises_bias_and_variance",)
GROUPS = ("tests/eval/test_groups.py::test_groups_average_their_evaluated_users",)
NEGATIVES = (
    "tests/eval/test_negatives.py::test_draws_equal_one_at_a_time",
    "tests/eval/test_negatives.py::test_strict_draws_are_different_items_that_were_not_rejected",
    "tests/eval/test_negatives.py::test_a_users_draws_do_not_depend_on_the_other_users",
)
COLD = ("tests/eval/test_cold_start.py::test_auc_equals_a_loop_over_pairs_and_items_overall_and_among_cold_ones",)
COLD_ITEMS = ("tests/eval/test_cold_start.py::test_cold_start_items_are_those_with_few_training_pairs",)

MUTANTS = (
    Mutant(
        "negatives-of-rejected",
        "socialjax/eval/protocol.py",
        "        slots[banned.owners() * num_items + banned.items] = -1\n",
        "",
        NEGATIVES,
        "positives are drawn as negatives",
    ),
    Mutant(
        "negatives-by-place",
        "socialjax/eval/protocol.py",
        "items = hashed_items(seed, users[chunk], draws, num_items)",
        "items = hashed_items(seed, chunk, draws, num_items)",
        NEGATIVES,
        "a user's list hangs on who else is evaluated",
    ),
    Mutant(
        "negatives-repeat",
        "socialjax/eval/protocol.py",
        "keep = drawn >= 0 if replace else drawn == counter",
        "keep = drawn >= 0",
        NEGATIVES,
        "strict lists repeat items",
    ),
    Mutant(
        "lists-of-validation-are-those-of-test",
        "socialjax/eval/protocol.py",
        '(_VALIDATION if part == "validation" else 0)',
        "0",
        ("tests/eval/test_protocol.py",),
        "the two parts of a user share one list of draws",
    ),
    Mutant(
        "official-rejects-train",
        "socialjax/eval/protocol.py",
        "else (part,))).take(evaluated)",
        'else ("train", part))).take(evaluated)',
        ("tests/eval/test_protocol.py",),
        "the authors' protocol gets easier lists than theirs",
    ),
    Mutant(
        "cut-offs-off-by-one",
        "socialjax/eval/metrics.py",
        "reach = np.clip(k - above, 0, block)",
        "reach = np.clip(k - 1 - above, 0, block)",
        METRICS,
        "the item at place K does not count",
    ),
    Mutant(
        "ideal-not-cut",
        "socialjax/eval/metrics.py",
        "ideal = np.minimum(num_positives, k)",
        "ideal = num_positives.clip(max=max(ks))",
        METRICS,
        "the ideal list is longer than K",
    ),
    Mutant(
        "discount-shifted",
        "socialjax/eval/metrics.py",
        "discounts, reciprocals = _prefix(1 / np.log2(places + 2))",
        "discounts, reciprocals = _prefix(1 / np.log2(places + 3))",
        METRICS,
        "another discount than the field's",
    ),
    Mutant(
        "mean-over-pairs",
        "socialjax/eval/metrics.py",
        '"HR": hits / ideal,',
        '"HR": hits / num_positives,',
        METRICS,
        "HR becomes recall",
    ),
    Mutant(
        "ties-are-losses",
        "socialjax/eval/metrics.py",
        "block = counts.higher + positives_above, counts.tied + positives_tied",
        "block = counts.higher + counts.tied + positives_above, positives_tied",
        METRICS,
        "a model that scores all alike gets 0, not chance",
    ),
    Mutant(
        "auc-ties-win",
        "socialjax/eval/metrics.py",
        "wrong = total(counts.higher + counts.tied / 2)",
        "wrong = total(counts.higher)",
        METRICS,
        "ties are wins in AUC",
    ),
    Mutant(
        "nan-ranks-low",
        "socialjax/eval/ranking.py",
        "higher = jnp.sum(~(against <= positive), axis=1",
        "higher = jnp.sum(against > positive, axis=1",
        NO_NUMBER,
        "a score that is no number counts as low, and a diverged model as perfect",
    ),
    Mutant(
        "full-without-mask",
        "socialjax/eval/ranking.py",
        "        hidden = joined(candidates.masked, lists)\n",
        "        hidden = lists\n",
        COUNTS,
        "full ranking has the training items among its candidates",
    ),
    Mutant(
        "top-k-shows-seen",
        "socialjax/eval/ranking.py",
        "    taken = () if exclude is None else (exclude,)\n",
        "    taken = ()\n",
        TOP_K,
        "what was taken is recommended again",
    ),
    Mutant(
        "top-k-without-bias",
        "socialjax/eval/ranking.py",
        "precision=jax.lax.Precision.HIGHEST) + bias[None, :]",
        "precision=jax.lax.Precision.HIGHEST) + 0 * bias[None, :]",
        TOP_K,
        "full ranking forgets the item bias",
    ),
    Mutant(
        "ddof-0",
        "socialjax/eval/significance.py",
        "values.std(ddof=1)",
        "values.std(ddof=0)",
        INTERVAL,
        "intervals over seeds are too narrow",
    ),
    Mutant(
        "normal-interval",
        "socialjax/eval/significance.py",
        "stats.t.ppf((1 + confidence) / 2, len(values) - 1)",
        "stats.norm.ppf((1 + confidence) / 2)",
        INTERVAL,
        "five seeds are taken for infinitely many",
    ),
    Mutant(
        "unpaired",
        "socialjax/eval/significance.py",
        "stats.ttest_rel(a, b).pvalue",
        "stats.ttest_ind(a, b).pvalue",
        PAIRED,
        "the pairing of users is thrown away",
    ),
    Mutant(
        "wilcoxon-of-a-alone",
        "socialjax/eval/significance.py",
        "stats.wilcoxon(difference[difference != 0]).pvalue",
        "stats.wilcoxon(a[a != 0]).pvalue",
        PAIRED,
        "Wilcoxon's test is of one system",
    ),
    Mutant(
        "holm-not-monotone",
        "socialjax/eval/significance.py",
        "worst = max(worst, min(1.0, (len(names) - rank) * p_values[name]))",
        "worst = min(1.0, (len(names) - rank) * p_values[name])",
        HOLM,
        "a larger p value is corrected to a smaller one",
    ),
    Mutant(
        "holm-without-count",
        "socialjax/eval/significance.py",
        "(len(names) - rank) * p_values[name]",
        "p_values[name]",
        HOLM,
        "many comparisons are tested as one",
    ),
    Mutant(
        "estimate-by-plain-gamma",
        "socialjax/eval/corrected.py",
        "squares = (1 - gamma) * (p.T @ p) + gamma * np.diag(p.sum(axis=0))",
        "squares = (1 - gamma) * (p.T @ p) - gamma * np.diag(p.sum(axis=0))",
        SOLUTION,
        "variance is rewarded in the estimate of full ranking",
    ),
    Mutant(
        "population-with-masked",
        "socialjax/eval/corrected.py",
        "return num_items - np.asarray(masked) - np.asarray(positives)",
        "return num_items - 0 * np.asarray(masked) - np.asarray(positives)",
        ("tests/eval/test_corrected.py::test_users_with_other_populations_are_read_with_their_own",),
        "the estimate ranks among training items too",
    ),
    Mutant(
        "groups-half-open",
        "socialjax/eval/groups.py",
        'group = np.searchsorted(bounds, user_counts, side="right") - 1',
        'group = np.maximum(np.searchsorted(bounds, user_counts, side="left") - 1, 0)',
        GROUPS,
        "a user with 8 pairs is in the group below 8",
    ),
    Mutant(
        "groups-of-all-users",
        "socialjax/eval/groups.py",
        "values[is_member].mean(dtype=np.float64)",
        "(values[is_member].sum(dtype=np.float64) / len(result.users))",
        GROUPS,
        "the mean of a group is over everybody",
    ),
    Mutant(
        "cold-of-test",
        "socialjax/eval/groups.py",
        "np.bincount(data.train.item, minlength=data.num_items) < below",
        "np.bincount(data.test.item, minlength=data.num_items) < below",
        COLD_ITEMS,
        "cold-start items are those that few took in test",
    ),
    Mutant(
        "cold-against-all",
        "socialjax/eval/groups.py",
        "among = np.ones(data.num_items, bool) if among is None else np.asarray(among, bool)",
        "among = np.ones(data.num_items, bool)",
        COLD,
        "cold items stand against warm ones",
    ),
    Mutant(
        "cold-negatives-taken-in-test",
        "socialjax/eval/groups.py",
        "known = rows_of([*data.parts().values(), pairs, *taken]",
        "known = rows_of([data.train, pairs, *taken]",
        COLD,
        "other held-out items are negatives",
    ),
    Mutant(
        "first-seed-alone",
        "socialjax/report/gather.py",
        "return self._values_of(metric).mean(axis=1)",
        "return self._values_of(metric)[:, 0]",
        ("tests/report/test_tables_by_hand.py::test_each_user_counts_with_the_mean_over_the_seeds",),
        "paired tests are of the first seed",
    ),
    Mutant(
        "holm-by-metric",
        "socialjax/report/comparisons.py",
        "p_users = holm({key: test.p_t for key, test in users.items()})",
        "p_users = {k: v for m in METRICS for k, v in "
        "holm({key: test.p_t for key, test in users.items() if key[1] == m}).items()}",
        (
            "tests/report/test_tables_by_hand.py"
            "::test_paired_tests_are_those_worked_by_hand_and_holm_goes_over_the_whole_table",
        ),
        "Holm's correction is over half of the table",
    ),
    Mutant(
        "trainings-by-one-seed",
        "socialjax/report/comparisons.py",
        "over_trainings(a.seed_means(metric), b.seed_means(metric))",
        "over_trainings(a.seed_means(metric)[:2], b.seed_means(metric)[:2])",
        ("tests/report/test_tables_by_hand.py::test_trainings_are_compared_by_the_means_of_their_seeds",),
        "two of the seeds are taken for all",
    ),
    Mutant(
        "other-baseline",
        "socialjax/report/comparisons.py",
        "[(run, base) for run in rivals if run is not base] if base else []",
        "[(run, rivals[-1]) for run in rivals[:-1]] if base else []",
        (
            "tests/report/test_tables_by_hand.py"
            "::test_paired_tests_are_those_worked_by_hand_and_holm_goes_over_the_whole_table",
        ),
        "the table is against the last row",
    ),
    Mutant(
        "bold-is-worst",
        "socialjax/report/overall.py",
        'best[metric] = max(having, key=lambda run: run.record.metrics[metric]["mean"])',
        'best[metric] = min(having, key=lambda run: run.record.metrics[metric]["mean"])',
        ("tests/report/test_tables_by_hand.py::test_the_best_is_bold_unless_its_code_has_changed",),
        "the worst model is bold",
    ),
)
