"""Settings of a model found on validation: the same trials for every model, cut by successive halving.

    python -m experiments.tune bpr --data.name yelp --trials 8
    python -m experiments.tune diffnet --data.name yelp --trials 8 --model.layers all --jobs 2
    python -m experiments.tune svdpp --data.name lastfm --rungs 10 30 90 --seeds 0 1

The space is in `socialjax/run/tuning/space.py`. The same command goes on with a search that was stopped; more trials
add to one that has finished. The test part is taken away before anything is trained.
Expect on 2 cores, Yelp, 8 trials: 640 epochs at most, about 10 minutes for BPR and 20 for graph models.
"""

import sys

import tyro

from socialjax.models import MODELS
from socialjax.run.command import fail
from socialjax.run.tuning.halving import main
from socialjax.run.tuning.search import Search


def run(arguments: list[str]) -> int:
    """Exit code of `experiments.tune` with these arguments."""
    names = ", ".join(MODELS)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"{__doc__}\nmodels: {names}\n`python -m experiments.tune MODEL --help` lists the settings of one.")
        return 0 if arguments else 2
    if arguments[0] not in MODELS:
        return fail(f"no model is called '{arguments[0]}'; there are {names}")
    model = MODELS[arguments[0]]
    try:
        default = Search(model())
        search = tyro.cli(
            Search[model], prog=f"python -m experiments.tune {arguments[0]}", default=default, args=arguments[1:]
        )
    except ValueError as error:
        return fail(str(error), code=1)
    return main(search)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
