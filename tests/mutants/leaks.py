"""Mutants that look at held-out pairs: in graphs, histories, negatives, training, the choice of the epoch, splits."""

from tests.mutants.mutant import Mutant

GIVEN = "tests/models/test_contract.py::test_held_out_pairs_change_nothing_that_a_model_is_given"
RUN = "tests/run/test_held_out.py"
PAIRS = "distinct(columns.train.user, columns.train.item, columns.num_items)"
AND_TEST = (
    "distinct(np.append(columns.train.user, columns.test.user), np.append(columns.train.item, columns.test.item), "
    "columns.num_items)"
)


def given(*models: str) -> tuple[str, ...]:
    """The test that holds what these models are given to train."""
    return tuple(f"{GIVEN}[{model}]" for model in models)


MUTANTS = (
    Mutant(
        "epoch-on-test",
        "socialjax/run/workbench.py",
        'self.candidates(settings, settings.validation_protocol, "validation")',
        'self.candidates(settings, settings.validation_protocol, "test")',
        (
            f"{RUN}::test_a_run_trains_on_train_chooses_on_validation_and_reports_test",
            f"{RUN}::test_frames_of_films_are_learned_on_train_and_chosen_on_validation",
        ),
        "the epoch is chosen by the pairs that are reported",
        must=True,
    ),
    Mutant(
        "trains-on-test",
        "socialjax/run/workbench.py",
        "        return resident(self.data)\n",
        "        import numpy as np\n"
        "        train, test = self.data.train, self.data.test\n"
        "        both = type(train)(np.append(train.user, test.user), np.append(train.item, test.item))\n"
        "        return resident(dataclasses.replace(self.data, train=both))\n",
        (f"{RUN}::test_a_run_trains_on_train_chooses_on_validation_and_reports_test",),
        "training takes the test pairs too",
        must=True,
    ),
    Mutant(
        "trains-on-validation",
        "socialjax/run/workbench.py",
        "        return resident(self.data)\n",
        "        return resident(dataclasses.replace(self.data, train=self.data.validation))\n",
        (f"{RUN}::test_a_run_trains_on_train_chooses_on_validation_and_reports_test",),
        "training takes another part",
    ),
    Mutant(
        "side-of-test",
        "socialjax/run/workbench.py",
        "self._side = model, on_device(model.prepare(self.data))",
        "self._side = model, on_device(model.prepare(dataclasses.replace(self.data, train=self.data.test)))",
        (f"{RUN}::test_a_run_trains_on_train_chooses_on_validation_and_reports_test",),
        "a run makes its graphs of the test pairs",
    ),
    Mutant(
        "chosen-on-says-test",
        "socialjax/run/workbench.py",
        '        return {"part": part, "protocol"',
        '        return {"part": "test", "protocol"',
        (f"{RUN}::test_a_run_trains_on_train_chooses_on_validation_and_reports_test",),
        "the record names another part than the one that chose the epoch",
    ),
    Mutant(
        "graph-holds-test",
        "socialjax/models/history.py",
        f"    users, items = {PAIRS}\n    degrees",
        f"    users, items = {AND_TEST}\n    degrees",
        given("lightgcn", "lr_gccf", "gcmc", "social_lightgcn", "diffnet_pp"),
        "the graph of users and items has edges of test pairs",
        must=True,
    ),
    Mutant(
        "negatives-reject-test",
        "socialjax/train/step.py",
        "    known = sample.positives(data.train.user, data.train.item, data.num_users, data.num_items)",
        "    known = sample.positives(np.append(data.train.user, data.test.user), "
        "np.append(data.train.item, data.test.item), data.num_users, data.num_items)",
        given("bpr"),
        "training never draws a test item as a negative, and so tells which they are",
        must=True,
    ),
    Mutant(
        "history-holds-test",
        "socialjax/models/history.py",
        f"    users, items = {PAIRS}\n    graph",
        f"    users, items = {AND_TEST}\n    graph",
        given("diffnet", "svdpp", "trust_svd"),
        "a user's history holds the items of the test part",
        must=True,
    ),
    Mutant(
        "taken-items-hold-validation",
        "socialjax/models/history.py",
        f"    users, items = {PAIRS}\n    shape",
        f"    users, items = {AND_TEST.replace('test', 'validation')}\n    shape",
        given("soreg", "context_mf", "popularity", "friends + popularity", "same owner"),
        "similarities and reference lines count validation pairs",
    ),
    Mutant(
        "walks-over-test",
        "socialjax/models/cf/pinsage.py",
        "symmetrise(edges(columns.train.user, columns.train.item + columns.num_users, size, size))",
        "symmetrise(edges(np.append(columns.train.user, columns.test.user), "
        "np.append(columns.train.item, columns.test.item) + columns.num_users, size, size))".replace(
            "np.append", "__import__('numpy').append"
        ),
        given("pinsage"),
        "random walks pass test pairs",
    ),
    Mutant(
        "cold-items-know-test",
        "socialjax/models/visual/saers.py",
        "known = np.bincount(columns.train.item, minlength=columns.num_items) > 0",
        "known = np.bincount(np.append(columns.train.item, columns.test.item), minlength=columns.num_items) > 0",
        given("saers"),
        "an item counts as known because of its test pairs",
    ),
    Mutant(
        "balance-counts-test",
        "socialjax/models/visual/vbpr.py",
        f"users, _ = {PAIRS}",
        f"users, _ = {AND_TEST}",
        given("vbpr, balanced, cold by features"),
        "rows are weighed by how many test pairs a user has",
    ),
    Mutant(
        "likes-in-training",
        "socialjax/models/visual/jifr.py",
        "    def prepare(self, columns)",
        "    def prepare(self, columns):\n"
        "        side = self.prepare_of_train(columns)\n"
        "        if columns.frame_likes is None or not len(columns.frame_likes):\n"
        "            return side\n"
        "        features = side.features.copy()\n"
        "        features[columns.frame_likes.frame] += 1\n"
        "        return side.replace(features=features)\n\n"
        "    def prepare_of_train(self, columns)",
        given("jifr"),
        "frames that users are known to like look another way",
    ),
    Mutant(
        "search-sees-test",
        "socialjax/run/tuning/trials.py",
        "work = Workbench(dataclasses.replace(data, test=no_interactions()))",
        "work = Workbench(data)",
        ("tests/run/tuning/test_tune.py::test_no_trial_can_see_the_test_part",),
        "trials hold the test part",
    ),
    Mutant(
        "search-judged-on-train",
        "socialjax/run/tuning/trials.py",
        "    validation = work.validation(experiment.eval)\n",
        "    other = Workbench(dataclasses.replace(work.data, validation=data.train))\n"
        "    validation = other.validation(experiment.eval)\n",
        (f"{RUN}::test_a_search_is_the_same_with_other_test_pairs_and_looks_at_validation_alone",),
        "trials are judged on the pairs that they train on",
    ),
    Mutant(
        "photos-of-every-part",
        "experiments/sen_fashion.py",
        'batches = Resident(maps[parts["train"]], labels["train"], BATCH, chosen.seed)',
        "batches = Resident(maps, labelled.labels, BATCH, chosen.seed)",
        ("tests/run/test_sen_fashion.py::test_the_network_learns_from_train_and_is_stopped_by_validation",),
        "the attribute network learns from the photos that it is tested on",
    ),
    Mutant(
        "photos-stopped-on-test",
        "experiments/sen_fashion.py",
        'validation = maps[parts["validation"]], labels["validation"]',
        'validation = maps[parts["test"]], labels["test"]',
        ("tests/run/test_sen_fashion.py::test_the_network_learns_from_train_and_is_stopped_by_validation",),
        "the attribute network is stopped by the test part",
    ),
    Mutant(
        "labelled-part-shifted",
        "socialjax/vision/labelled/label_tables.py",
        "self.part == PARTS.index(part)",
        "self.part <= PARTS.index(part)",
        ("tests/run/test_sen_fashion.py::test_the_network_learns_from_train_and_is_stopped_by_validation",),
        "the test part of labelled pictures holds the others",
    ),
    Mutant(
        "strict-validation-rejects-test",
        "socialjax/eval/protocol.py",
        "    return PARTS[: PARTS.index(part) + 1]",
        "    return PARTS",
        ("tests/eval/test_protocol.py",),
        "validation lists know the test items",
        must=True,
    ),
    Mutant(
        "strict-rejects-train-alone",
        "socialjax/eval/protocol.py",
        "    return PARTS[: PARTS.index(part) + 1]",
        "    return PARTS[:1]",
        ("tests/eval/test_protocol.py",),
        "positives stand among the negatives",
    ),
    Mutant(
        "full-masks-validation",
        "socialjax/eval/protocol.py",
        '    mask: tuple[str, ...] = ("train",)',
        '    mask: tuple[str, ...] = ("train", "validation")',
        ("tests/eval/test_protocol.py",),
        "full ranking leaves out more than the field does",
    ),
    Mutant(
        "recommend-hides-test",
        "socialjax/recommender.py",
        "        return rows_of((self.data.train,), self.data.num_users, self.data.num_items)\n",
        "        return rows_of((self.data.test,), self.data.num_users, self.data.num_items)\n",
        ("tests/test_recommender.py::test_recommendations_are_the_best_unseen_items_with_their_ids_and_titles",),
        "recommendations hide the held-out items and show the taken ones",
    ),
    Mutant(
        "split-leaves-validation-in-train",
        "socialjax/data/split.py",
        "    return Parts(pairs.take(~(is_validation | is_test)), ",
        "    return Parts(pairs.take(~is_test), ",
        ("tests/data/test_split.py",),
        "validation pairs stay in train",
    ),
    Mutant(
        "split-held-out-stays",
        "socialjax/data/split.py",
        "    return train.take(~held), train.take(held)",
        "    return train, train.take(held)",
        ("tests/data/test_split.py",),
        "what is held out of train for validation stays in it",
    ),
    Mutant(
        "last-pairs-stay",
        "socialjax/data/split.py",
        "    return train.take(~last), train.take(last)",
        "    return train, train.take(last)",
        ("tests/data/test_folder_loader.py",),
        "what is held out of short histories for validation stays in train",
    ),
    Mutant(
        "ghost-items",
        "socialjax/data/pairs_files.py",
        "if ids.are_integers and used.all() and len(keys) and keys[0] == 0 and keys[-1] == len(keys) - 1:",
        "if ids.are_integers and len(ids.keys) and ids.keys[0] == 0 and ids.keys[-1] == len(ids.keys) - 1:",
        ("tests/data/test_own_kinds.py",),
        "items that a threshold or a core dropped are counted, drawn and ranked",
    ),
    Mutant(
        "header-guessed",
        "socialjax/data/own/table_columns.py",
        "    if lacking := [role for role in required if role not in places]:",
        "    for role in required:\n        places.setdefault(role, len(places))\n"
        "    if lacking := [role for role in required if role not in places]:",
        ("tests/data/test_own_kinds.py",),
        "columns whose names are not known are taken by their place",
    ),
    Mutant(
        "last-line-wins",
        "socialjax/data/own/joined.py",
        '    order = np.lexsort((-value, time if which == "first" else -time, keys))',
        '    order = np.argsort(keys, kind="stable")',
        ("tests/data/test_own_kinds.py",),
        "which of several lines of a pair counts is decided by the order of lines",
    ),
    Mutant(
        "features-by-place",
        "socialjax/data/own/features.py",
        "    table[there] = features[order[place[there]]]",
        "    table[there] = features[: there.sum()]",
        ("tests/data/test_own_kinds.py",),
        "features are joined to items by their place in the file and not by id",
    ),
    Mutant(
        "split-by-row",
        "socialjax/data/split.py",
        "    return mix(user ^ pairs.item.astype(np.uint64))",
        "    return mix(user ^ np.arange(len(pairs), dtype=np.uint64))",
        ("tests/data/test_split.py",),
        "the split hangs on the order of the rows",
    ),
    Mutant(
        "split-time-turned",
        "socialjax/data/split.py",
        "(chance, -pairs.time)",
        "(chance, pairs.time)",
        ("tests/data/test_split.py",),
        "leave-one-out takes the first pair in time",
    ),
    Mutant(
        "split-cold-in-train",
        "socialjax/data/split.py",
        "    return Parts(parts.train.take(~moved[0]), ",
        "    return Parts(parts.train, ",
        ("tests/data/test_split.py",),
        "cold items are not cold",
    ),
    Mutant(
        "split-ratio-rounds-down",
        "socialjax/data/split.py",
        "Fraction(str(ratio)).limit_denominator(10**6)",
        "Fraction(int(ratio * 100), 100)",
        ("tests/data/test_split.py",),
        "0.29 becomes 0.28 and so on: shares fall short",
    ),
    Mutant(
        "overlap-unseen",
        "socialjax/data/leaks.py",
        "for a in range(3) for b in range(a + 1, 3)):\n        shared",
        "for a in range(3) for b in range(a + 2, 3)):\n        shared",
        ("tests/data/test_leaks.py::test_pairs_in_two_parts_are_found",),
        "the check for leaks looks at train and test alone",
    ),
    Mutant(
        "given-negatives-of-train-alone",
        "socialjax/data/leaks.py",
        "    wrong = np.any(list(holds.values()), axis=0)",
        '    wrong = holds["train"]',
        ("tests/data/test_leaks.py::test_negatives_that_are_positives_are_found",),
        "negatives that are test items pass the check",
    ),
    Mutant(
        "validate-overlap",
        "socialjax/data/validate.py",
        "    return tuple((PARTS[a], PARTS[b]) for a in range(3) for b in range(a + 1, 3))",
        "    return ()",
        ("tests/data/test_validate.py",),
        "pairs in two parts are accepted",
    ),
)
