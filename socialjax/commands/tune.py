"""Settings of a model found on validation: the same trials for every model, cut by successive halving.

    python -m socialjax tune bpr --data.name yelp
    python -m socialjax tune diffnet --data.name yelp --model.variant paper --jobs 2
    python -m socialjax tune svdpp --data.name lastfm --rungs 10 30 90 --seeds 0 1

The shared ranges are in `socialjax/run/tuning/search.py`, a model's own in its `search_space`. The same command goes on
with a search that was stopped; more trials add to one that has finished. The test part is taken away before anything is
trained.
Expect 640 epochs for the first rung and up to 1,440 more, which patience cuts: on Yelp and 2 cores a quarter of an hour
for BPR, half an hour and more for graph models (estimated from the time of an epoch).
"""

import tyro

from socialjax.models import MODELS
from socialjax.run.command import fail
from socialjax.run.tuning.halving import main as run_search
from socialjax.run.tuning.search import Search


def main(arguments: list[str]) -> int:
    """Exit code of `socialjax tune` with these arguments."""
    names = ", ".join(MODELS)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"{__doc__}\nmodels: {names}\n`python -m socialjax tune MODEL --help` lists the settings of one.")
        return 0 if arguments else 2
    if arguments[0] not in MODELS:
        return fail(MODELS.unknown(arguments[0]))
    try:
        model = MODELS[arguments[0]]
        default = Search(model())
        object.__setattr__(default, "protocol", None)  # it hangs on the data, which the command line names
        search = tyro.cli(
            Search[model], prog=f"python -m socialjax tune {arguments[0]}", default=default, args=arguments[1:]
        )
    except ValueError as error:
        return fail(str(error), code=1)
    return run_search(search)
