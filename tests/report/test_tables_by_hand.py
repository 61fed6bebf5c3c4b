"""The tables' arithmetic on runs small enough to work out by hand."""

import dataclasses

import numpy as np
import pytest
from records import record_of

from socialjax.drawing import blank, save
from socialjax.models.cf.bpr import BPR
from socialjax.models.cf.fm import FM
from socialjax.models.cf.svdpp import SVDpp
from socialjax.report import comparisons, figures, gather
from socialjax.report.figures import spread
from socialjax.report.gather import Kept, about, span
from socialjax.report.keep import without_places
from socialjax.report.overall import best_of, comparable, legend, notes, overall, reported
from socialjax.report.papers import Paper, Reported
from socialjax.run.model_code import code_digest

PAPER = Paper(
    name="p",
    title="P",
    datasets=("d",),
    models={"bpr": "BPR", "fm": "FM", "svdpp": "SVD++", "diffnet": "DiffNet"},
    reported=(Reported("d", "svdpp", "theirs", "ids", {"HR@10": 0.25, "HR@5": 0.125}, "sampled9-official", 64),),
    notes={"fm": "as BPR"},
    swept={"dim": (16,)},
)


def kept(name, model="bpr", hr=((0.0,),), ndcg=((0.0,),), seeds=(0, 1), **record):
    """A run with HR@10 and NDCG@10 of each user (outer) and seed (inner); its metrics are their means."""
    users = max(len(hr), len(ndcg))
    values = np.stack([np.broadcast_to(np.asarray(x, np.float16), (users, len(seeds))) for x in (hr, ndcg)], axis=2)
    means = {n: {"mean": float(values[:, :, k].mean()), "ci95": 0.01} for k, n in enumerate(("HR@10", "NDCG@10"))}
    base = {
        "model": model,
        "dataset": "d",
        "data": "real",
        "features": "none",
        "seeds": list(seeds),
        "metrics": means,
        "protocol": "sampled9-strict",
        "also": {},
        "references": {"popularity": {"HR@10": 0.1}},
        "commit": "0123456789abcdef",
        "settings": {"model": {"dim": 64}, "seeds": list(seeds)},
        "provenance": {"kind": "real", "files": {}},
        "chosen_on": {"part": "validation", "protocol": "sampled9-strict", "rejected": ["train", "validation"]},
    }
    return Kept(name, record_of(**base | record), np.arange(len(values)), values, ("HR@10", "NDCG@10"))


# Differences to `base`, whose users have 0 throughout, and the two-sided p of Student's t with 3 degrees of freedom:
# a, HR (1, 0, 1, 0): mean 0.5, deviation 0.57735, t = 0.5 / 0.288675 = 1.7320, p = 0.181690, +- 3.182446 * 0.288675
# a, NDCG (1, 1, 1, 0): mean 0.75, deviation 0.5, t = 3, p = 0.057669
# c, HR all 0: p = 1
# c, NDCG (1, 1, 1, 0.5): mean 0.875, deviation 0.25, t = 7, p = 0.005986
BASE = kept("bpr", hr=((0,),) * 4, ndcg=((0,),) * 4)
A = kept("svdpp", "svdpp", hr=((1, 1), (0.5, -0.5), (1, 1), (0, 0)), ndcg=((1,), (1,), (1,), (0,)))
C = kept("diffnet", "diffnet", hr=((0,),) * 4, ndcg=((1, 1), (1, 1), (0.5, 1.5), (0.5, 0.5)))


def test_each_user_counts_with_the_mean_over_the_seeds():
    np.testing.assert_array_equal(A.user_means("HR@10"), [1, 0, 1, 0])
    with pytest.raises(ValueError, match="keeps HR@10, NDCG@10 of each user, not AUC"):
        A.user_means("AUC")


def test_paired_tests_are_those_worked_by_hand_and_holm_goes_over_the_whole_table():
    rows = comparisons.against(PAPER, comparisons.against_baseline(PAPER, [BASE, A, C]))
    found = {(one.a.name, one.b.name, one.metric): (one.users, one.p_users) for one in rows}
    test, _ = found["svdpp", "bpr", "HR@10"]
    np.testing.assert_allclose([test.difference, test.high], [0.5, 0.5 + 3.182446 * 0.288675], rtol=1e-5)
    p = [found[key][0].p_t for key in found]
    np.testing.assert_allclose(p, [0.181690, 0.057669, 1.0, 0.005986], rtol=1e-4)
    # Ascending: 4 * 0.005986, 3 * 0.057669, 2 * 0.181690, 1 * 1
    np.testing.assert_allclose([found[key][1] for key in found], [0.363380, 0.173007, 1.0, 0.023944], rtol=1e-4)
    # Its table: HR's five cells, then NDCG's.
    table = comparisons.comparison(PAPER, comparisons.against_baseline(PAPER, [BASE, A, C]))
    assert [row[0] for row in table[1:]] == ["SVD++ - BPR", "DiffNet - BPR"]
    assert [table[1][k] for k in (3, 8)] == ["0.36", "0.17"]
    assert table[1][1:3] == ["+0.5000", "-0.4187 to +1.4187"]
    assert [len(row) for row in table] == [11, 11, 11]


def test_trainings_are_compared_by_the_means_of_their_seeds():
    # HR of a by seed: (1 + .5 + 1 + 0) / 4 = .625 and (1 - .5 + 1 + 0) / 4 = .375; of the baseline 0 and 0. Welch:
    # .5 / sqrt(.03125 / 2) = 4 on one degree of freedom, p = 2 (1/2 - atan(4) / pi) = .155958.
    np.testing.assert_array_equal(A.seed_means("HR@10"), [0.625, 0.375])
    one = comparisons.against(PAPER, [(A, BASE)])[0]
    assert (one.metric, one.trainings.num_a, one.trainings.num_b) == ("HR@10", 2, 2)
    assert one.trainings.p == pytest.approx(0.155958, rel=1e-5)
    assert one.trainings.high == pytest.approx(0.5 + 12.7062 * 0.125, rel=1e-5)  # t(.975, 1) sqrt(.03125 / 2)
    assert one.p_trainings == pytest.approx(0.155958, rel=1e-5)  # twice that, but NDCG's 0 comes first: 1 x
    many = kept("fm", hr=((0, 1, 2),) * 4, ndcg=((0,),) * 4, seeds=(0, 1, 2))
    assert comparisons.against(PAPER, [(many, BASE)])[0].trainings.num_a == 3
    alone = kept("fm", hr=((0,),) * 4, ndcg=((0,),) * 4, seeds=(0,))
    told = comparisons.against(PAPER, [(alone, BASE)])[0]
    assert told.trainings is None and told.p_trainings is None
    assert comparisons.questions(told)[2:] == ["trained once", "trained once"]
    assert "2 + 2 trainings" in comparisons.reading(PAPER, [(A, BASE)])


def test_the_best_is_tested_against_every_other_and_features_against_none():
    assert [(a.name, b.name) for a, b in comparisons.best_against_each(PAPER, [BASE, A, C])] == [
        ("diffnet", "bpr"),
        ("diffnet", "svdpp"),
    ]
    with_features = kept("svdpp-features", "svdpp")
    pairs = comparisons.with_and_without_features([BASE, A, with_features, kept("fm-features", "fm")])
    assert [(a.name, b.name) for a, b in pairs] == [("svdpp-features", "svdpp")]
    assert comparisons.against_baseline(PAPER, [A, C]) == []


@pytest.mark.parametrize("p, text", [(0.434, "0.43"), (0.0031, "0.003"), (2e-10, "2e-10"), (0.0, "below 1e-99")])
def test_probabilities_have_as_many_digits_as_matter(p, text):
    assert comparisons.probability(p) == text


def test_orders_agree_as_counted_by_hand():
    # Of the pairs of (3, 2, 1) and (3, 1, 2), two are alike and one is not: (2 - 1) / 3.
    assert figures.tau([3, 2, 1], [3, 1, 2]) == pytest.approx(1 / 3)
    assert figures.tau([1], [2]) is None and figures.tau([1, 1], [1, 2]) is None
    assert figures.ranks([0.1, 0.3, 0.3, 0.2]) == [4, 1, 1, 3]


def line(label, sampled, full, guess=None):
    """NDCG@10 and a constant HR@10 by nine samples and over all items; perhaps an estimate."""
    metrics = {
        name: {"NDCG@10": {"mean": value, "ci95": None}, "HR@10": 0.5}
        for name, value in (("sampled9-strict", sampled), ("full", full))
    }
    return figures.Line(label, metrics, {} if guess is None else {"sampled9-strict": {"NDCG@10": guess}})


NAMES = ["sampled9-strict", "full"]


def test_pairs_that_the_samples_turn_round_are_named():
    some = [line("bpr", 0, 0.01), line("svdpp", 0.75, 0.03), line("diffnet", 0.875, 0.02)]
    table = figures.sampled_and_full(some, NAMES, "NDCG@10")
    assert table[0] == ["", "NDCG@10 sampled9-strict", "rank", "NDCG@10 full", "rank"]
    assert [row[::2] for row in table[1:]] == [["bpr", "3", "3"], ["svdpp", "2", "1"], ["diffnet", "1", "2"]]
    assert figures.taus(some, NAMES, PAPER.metrics[::-1]) == [
        "Kendall's tau between the orders by `sampled9-strict` and by `full`: 3 models, NDCG@10 0.333, HR@10 "
        "not available."
    ]
    assert figures.swapped(some, NAMES, "NDCG@10").endswith("way round over all items: diffnet above svdpp.")
    assert "alike" in figures.swapped(some[:2], NAMES, "NDCG@10")
    assert figures.taus(some, NAMES[:1], PAPER.metrics) == []
    assert figures.swapped(some, NAMES[:1], "NDCG@10") == ""


def test_lines_are_reference_lines_and_runs_measured_under_every_protocol():
    guesses = {"sampled9-strict": {"NDCG@10": 0.25}}
    both = {"sampled9-strict": {"NDCG@10": 0.1}, "full": {"NDCG@10": 0.01}}
    extra = {"references_also": {"popularity": both}, "references_corrected": {"popularity": guesses}}
    measured = kept("bpr", also={"full": {"NDCG@10": {"mean": 0.02, "ci95": None}}}, corrected=guesses, **extra)
    found = figures.lines(PAPER, [measured, A, kept("bpr-dim=2", also={"other": {}})])
    assert [(one.label, one.estimates) for one in found] == [("popularity", guesses), ("BPR", guesses)]
    assert figures.means(found, "full", "NDCG@10") == [0.01, 0.02]
    assert figures.protocols([measured]) == NAMES


def test_estimates_are_judged_by_their_mean_absolute_errors():
    some = [line("bpr", 0, 0.25, guess=0.5), line("svdpp", 0.75, 0.5, guess=0.5), line("diffnet", 0.1, 0.2)]
    assert list(comparisons.estimated(some)) == ["sampled9-strict"]
    # Naive: |0 - 0.25| and |0.75 - 0.5|; estimates: |0.5 - 0.25| and 0.
    said = comparisons.summary(some[:2], "sampled9-strict")
    # One of them is too high by .25, of full metrics that sum up to .75.
    assert "reading 0.2500, of the estimate 0.1250, which is too low on 0 of 2 and in the mean by -33% of" in said
    low = [line("bpr", 0, 0.25, guess=0.125), line("svdpp", 0.75, 0.25, guess=0.25)]
    assert "too low on 1 of 2 and in the mean by 25% of" in comparisons.summary(low, "sampled9-strict")
    assert said.startswith("Over 2 models: ") and said.endswith("order by `full` 1.000 and not available.")
    reference = dataclasses.replace(line("popularity", 0.5, 0.5, guess=0.5), is_trained=False)
    both = comparisons.summary([reference, *some[:2]], "sampled9-strict")
    assert both.startswith("Over 3 lines: ") and both.endswith(said)
    assert comparisons.estimates(some[:2], "sampled9-strict")[1][-2:] == ["-0.2500", "+0.2500"]
    table, reading = comparisons.blocks(some, lambda names: f"[{names}]")
    assert table.count("\n") == 3 and reading == f"[sampled9-strict, full] {said} {comparisons.DIRECTION}"
    assert list(comparisons.blocks(some[2:], str)) == ["No kept run has estimates."]


def test_features_are_tested_on_cold_items_where_both_runs_were():
    cold = kept("fm-features", "fm", hr=((1,), (0,), (1,)))
    with_features = dataclasses.replace(kept("fm-features", "fm"), cold=cold)
    without = dataclasses.replace(kept("fm", "fm"), cold=kept("fm", "fm", hr=((0,), (0,), (0,))))
    rows = comparisons.on_cold_items([(with_features, without), (A, BASE)])
    assert [(a.name, b.name) for a, b in rows] == [("fm-features", "fm")]
    # (1, 0, 1): mean 2 / 3
    assert comparisons.comparison(PAPER, rows)[1][1].startswith("+0.6667")


def test_groups_are_means_over_seeds_and_empty_ones_are_left_out():
    groups = [{"interactions": {"[0, 8)": {"users": 10, "HR@10": hr}, "[8, inf)": {"users": 0}}} for hr in (0.2, 0.4)]
    table = figures.by_sparsity(PAPER, [kept("bpr", groups=groups)], "interactions", "HR@10")
    # Student's t of one degree of freedom: 12.7062 * 0.141421 / sqrt(2)
    assert table == [["", "[0, 8), 10 users"], ["BPR", "0.3000 ±1.2706"]]
    for of_seed in groups:
        of_seed["interactions"]["[0, 8)"]["users"] = 9
    table = figures.by_sparsity(PAPER, [kept("bpr", groups=groups)], "interactions", "HR@10")
    assert table == [["", "[0, 8), 9 users"], ["BPR", "0.3000 (too few users)"]]
    assert figures.heading("interactions", "HR@10") == "HR@10 by training items of a user"


def test_variations_hold_the_main_run_and_say_what_else_differs():
    main = kept("diffnet", "diffnet", hr=((0.5,),))
    narrow = kept("diffnet-dim=16", "diffnet", hr=((0.25,),), seeds=(0,), settings={"model": {"dim": 16}})
    runs = [BASE, main, narrow]
    assert [run.swept for run in runs] == ["", "", "dim"] and narrow.base == "diffnet"
    table = comparisons.variation(PAPER, runs, "dim", "HR@10")
    assert table[0] == ["HR@10", "dim 16", "dim 64"]
    assert table[1] == ["DiffNet", "0.2500 ±0.0100 (seeds 0)", "0.5000 ±0.0100 (seeds 0 1)"]
    assert comparisons.other_differences(PAPER, runs, "dim") == "Nothing but dim differs within a row."
    main.record.settings["model"]["name"] = narrow.record.settings["model"]["name"] = "diffnet"
    main.record.settings["model"]["feature_l2"] = 0.0  # the other is from before there was such a setting
    assert comparisons.other_differences(PAPER, runs, "dim") == "Nothing but dim differs within a row."
    narrow.record.settings["model"]["l2"] = 0.5
    assert comparisons.other_differences(PAPER, runs, "dim") == "Beside dim, DiffNet also in model.l2."


def test_reported_figures_stand_beside_ours_of_the_same_protocol_and_width_alone():
    other = {"HR@10": {"mean": 0.3125, "ci95": 0.01}, "NDCG@10": {"mean": 0.5, "ci95": 0.01}}
    wide = kept("svdpp", "svdpp", also={"sampled9-official": other})
    none = ["not available"]
    want = ["SVD++", "theirs: ids; also HR@5 0.1250", "sampled9-official, 64", "0.2500", "0.3125 ±0.0100", "+0.0625"]
    assert reported(PAPER, [BASE, wide], "d")[1:] == [[*want, *none, "0.5000 ±0.0100", *none]]
    # Not measured under that protocol, or at another width: no figure of ours, and no difference.
    assert reported(PAPER, [BASE, A], "d")[1][3:6] == ["0.2500", *none * 2]
    narrow = {"settings": {"model": {"dim": 32}}, "also": {"sampled9-official": other}}
    assert reported(PAPER, [kept("svdpp", "svdpp", **narrow)], "d")[1][3:6] == ["0.2500", *none * 2]
    # The value of a sweep that has the width stands in for a main run that has not.
    swept = kept("svdpp-dim=64", "svdpp", also={"sampled9-official": other})
    row = reported(PAPER, [kept("svdpp", "svdpp", **narrow), swept], "d")[1]
    assert (row[0], row[5]) == ("SVD++, dim=64", "+0.0625")
    assert len(reported(PAPER, [BASE], "d")) == 1 and len(reported(PAPER, [wide], "elsewhere")) == 1
    with pytest.raises(ValueError, match="nobody must be among the models of x"):
        Paper("x", "", (), {"bpr": "BPR"}, (Reported("d", "nobody", "", "", {}, "full", 8),))


def test_rows_of_the_older_protocol_say_so_and_are_neither_bold_nor_tested():
    current = {"code": code_digest(BPR)}
    new, mine = kept("bpr", **current), kept("svdpp", "svdpp", hr=((0.25,),), code=code_digest(SVDpp))
    older = kept("fm", "fm", hr=((0.5,),), chosen_on=None, code=code_digest(FM))
    assert (older.is_older, new.is_older) == (True, False)
    assert [row[0] for row in overall(PAPER, [new, older, mine])[2:]] == ["BPR", "FM (older protocol)", "SVD++"]
    assert best_of(comparable(PAPER, [new, older, mine]))["HR@10"] is mine
    assert [(a.name, b.name) for a, b in comparisons.against_baseline(PAPER, [new, older, mine])] == [("svdpp", "bpr")]
    assert "Older protocol: " in about([new, older]) and "Older" not in about([new, mine])
    # Where all are of the older one, they may be compared with each other.
    once = kept("bpr", chosen_on=None, **current)
    assert [(a.name, b.name) for a, b in comparisons.against_baseline(PAPER, [once, older])] == [("fm", "bpr")]


def test_a_run_with_other_settings_than_the_search_found_is_of_the_older_protocol():
    settings = {"model": {"name": "bpr", "dim": 64, "l2": 0.1}, "train": {"epochs": 9, "quiet": True}}
    run = kept("bpr", settings=settings | {"seeds": [0, 1]})
    found = {"settings": {"model": dict(settings["model"]), "train": {"epochs": 9, "quiet": False}}}
    assert not dataclasses.replace(run, search=found).is_older, "a progress bar changes no figure"
    found["settings"]["model"]["dropout"] = 0.0
    assert not dataclasses.replace(run, search=found).is_older, "the run is from before there was such a setting"
    found["settings"]["model"]["dropout"] = 0.5
    assert dataclasses.replace(run, search=found).is_older
    found["settings"]["model"] |= {"dropout": 0.0, "l2": 0.2}
    assert dataclasses.replace(run, search=found).is_older
    assert not dataclasses.replace(run, name="bpr-dim=16", search=found).is_older, "a sweep differs on purpose"


def test_a_row_that_stands_apart_is_neither_bold_nor_tested():
    paper = dataclasses.replace(PAPER, apart={"svdpp-longer": "searched further"})
    best, rest = kept("svdpp-longer", "svdpp", hr=((0.5,),)), kept("svdpp", "svdpp", hr=((0.25,),))
    runs = [BASE, rest, best]
    assert comparable(paper, runs) == [BASE, rest] and comparable(PAPER, runs) == runs
    bold = [row[0] for row in overall(paper, runs) if "**" in row[2]]
    assert bold == ["SVD++"] and len(comparisons.against_baseline(paper, runs)) == 1
    assert " SVD++, longer is neither bold nor tested: searched further." in notes(paper, runs)


def test_the_best_is_bold_unless_its_code_has_changed():
    current = {"code": code_digest(BPR)}
    fresh, stale = kept("bpr", hr=((0.25,),), **current), kept("bpr-wide", hr=((0.5,),), code="0" * 16)
    assert (fresh.is_stale, stale.is_stale, BASE.is_stale) == (False, True, False)
    assert kept("gone", "gone", code="0" * 16).is_stale, "a model that is no more"
    assert best_of([fresh, stale])["HR@10"] is fresh
    low = kept("svdpp", "svdpp", hr=((0.0625,),), code=code_digest(SVDpp))
    table = overall(PAPER, [fresh, stale, low])
    assert table[1][:3] == ["popularity", "not available", "0.1000"]
    assert [row[0] for row in table[2:]] == ["BPR", "BPR, wide", "SVD++"]
    assert [row[2] for row in table[2:]] == ["**0.2500 ±0.0100**", "0.5000 ±0.0100", "0.0625 ±0.0100"]
    assert "STALE, the model's code has changed since: bpr-wide; run again" in about([fresh, stale])
    assert "changed since: every row; run" in about([stale]) and "STALE" not in about([fresh])
    # No figure is bold where one model stands beside reference lines, however much these are above it.
    assert not any("**" in text for row in overall(PAPER, [low]) + overall(PAPER, [fresh, stale]) for text in row)
    assert notes(PAPER, [fresh]) == " FM: as BPR. Not run: SVD++, DiffNet."


def test_the_legend_says_loss_negatives_and_item_bias():
    def trained(name, objective, negatives, bias):
        model = {"dim": 64, "objective": objective, "negatives": negatives, "item_bias": bias}
        return kept(name, name, settings={"model": model, "seeds": [0, 1]})

    runs = [trained("bpr", "softmax", 16, True), trained("fm", "bpr", 1, True), trained("svdpp", "softmax", 16, True)]
    said = " Trained with softmax with 16 negatives: BPR, SVD++; bpr with 1 negative: FM; "
    assert legend(PAPER, runs) == f"{said}all have an item bias."
    bare = trained("diffnet", "bpr", 1, False)
    assert legend(PAPER, [runs[0], bare]).endswith("bpr with 1 negative: DiffNet; no item bias: DiffNet.")
    assert legend(PAPER, [bare]).endswith("none has an item bias.")
    assert legend(PAPER, [BASE]) == ""


def test_the_line_below_a_table_says_data_protocol_seeds_and_commits():
    other = kept("svdpp", "svdpp", seeds=(0, 1, 2), commit="fedcba9876-dirty")
    assert about([BASE, A, other]) == (
        "d, real data, ids only; sampled9-strict, test; seeds 0 1, svdpp 0-2; commit 0123456, fedcba9-dirty."
    )
    generated = kept("bpr", data="stand-in", features="given")
    assert "STAND-IN (stand-in: generated, not real data), with features" in about([generated])
    assert [span(seeds) for seeds in ([0, 1, 2], [1, 4], [3])] == ["0-2", "1 4", "3"]


def test_no_folder_of_the_machine_is_kept():
    record = {
        "settings": {"workdir": "/home/me/run", "data": {"name": "d", "dir": "/data/d"}, "seeds": [0]},
        "provenance": {"source": "/srv/sets/mine", "repairs": ["3 rows of /srv/a.txt, left out", "hits / min"]},
        "address": "https://example.org/a/b",
        "speed": "12 pairs/s",
    }
    assert without_places(record) == {
        "settings": {"data": {"name": "d"}, "seeds": [0]},
        "provenance": {"source": "mine", "repairs": ["3 rows of a.txt, left out", "hits / min"]},
        "address": "https://example.org/a/b",
        "speed": "12 pairs/s",
    }


@pytest.mark.parametrize("places", [[0.5], [0.2, 0.2, 0.2], [0.99, 1.0, 1.0], [0.0, 0.5, 0.50001], [0.5] * 30])
def test_names_stand_apart_and_inside_the_picture(places):
    found = np.array(spread(places))
    assert found.max() <= 1 + 1e-9 and found.min() >= -1e-9
    assert (np.diff(found) >= min(0.045, 1 / max(len(places) - 1, 1)) - 1e-9).all()


def test_a_picture_that_cannot_be_drawn_leaves_nothing_behind(tmp_path):
    figure = blank(2, 1)
    save(figure, tmp_path / "good.png")
    assert (tmp_path / "good.png").read_bytes().startswith(b"\x89PNG")
    figure.set_size_inches(100_000, 1)
    with pytest.raises(ValueError, match="too large"):
        save(figure, tmp_path / "bad.png")
    assert [path.name for path in tmp_path.iterdir()] == ["good.png"]


def test_runs_with_features_and_without_are_measured_alike_but_not_on_other_pairs():
    def run(files, **data):
        settings = {"eval": {"protocol": "sampled9-strict", "seed": 0}, "data": {"name": "d", **data}}
        return kept("bpr", settings=settings, provenance={"kind": "real", "files": files}, references={})

    before, ids = run({"d.links": "1"}), run({"d.links": "1"}, published_features=False)
    told = run({"d.links": "1", "item_vector.npy": "2"}, published_features=True)
    others = run({"d.links": "3"}, published_features=False)
    assert gather._measured(before) == gather._measured(ids) == gather._measured(told) != gather._measured(others)


def test_runs_on_altered_files_say_so_below_every_table_and_in_the_csv():
    provenance = {"kind": "real", "files": {}, "published": "altered: d.links"}
    altered = kept("bpr", provenance=provenance)
    assert about([altered]).startswith("d, real data, ALTERED: d.links, ids only; sampled9-strict")
    assert {line[1] for line in gather.export_csv([altered])} == {"real, ALTERED: d.links"}
    assert {line[1] for line in gather.export_csv([kept("bpr")])} == {"real"}
