"""Any model on any data.

python -m socialjax train bpr --data.name yelp
python -m socialjax train diffnet --data.name mine --data.dir ~/mine
python -m socialjax train svdpp --data.name lastfm --data.validation none --train.epochs 50
"""

import inspect

from socialjax.models import MODELS
from socialjax.run.command import fail
from socialjax.run.execute import main as run_experiment
from socialjax.run.settings import Definition, EvalSettings, Experiment


def definition(model: str) -> Definition:
    """The settings of `model` as its class has them; ranked against all items, which fits data of any size."""
    about = inspect.cleandoc(MODELS[model].__doc__).partition("\n\nAttributes:")[0]
    return Definition(
        name=model,
        summary=f"{about}\n\nNames of models: {', '.join(MODELS)}.",
        default=Experiment(
            model=MODELS[model](), eval=EvalSettings(protocol="full", also=(), validation_protocol="full")
        ),
        command=f"python -m socialjax train {model}",
    )


def main(arguments: list[str]) -> int:
    """Exit code of `socialjax train` with these arguments."""
    names = ", ".join(MODELS)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"{__doc__}\nmodels: {names}\n`python -m socialjax train MODEL --help` lists the settings of one.")
        return 0 if arguments else 2
    if arguments[0] not in MODELS:
        return fail(f"no model is called '{arguments[0]}'; there are {names}")
    return run_experiment(definition(arguments[0]), arguments[1:])
