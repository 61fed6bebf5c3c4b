"""Any model on any data.

python -m socialjax train bpr --data.name yelp
python -m socialjax train diffnet --data.name mine --data.dir ~/mine
python -m socialjax train svdpp --data.name lastfm --data.validation none --train.epochs 50
python -m socialjax train lightgcn --data.dir /data/big --train.fanouts 10 5
python -m socialjax train --settings runs/tune/bpr/mine/best.json --seeds 0 1 2

Where --data.dir is a graph folder, its links and pairs stay on the disk (docs/scale_data.md).
"""

import inspect
from pathlib import Path

from socialjax.models import MODELS, name_of
from socialjax.run import mapped
from socialjax.run.command import fail, value_of
from socialjax.run.execute import main as run_experiment
from socialjax.run.saved import read_experiment
from socialjax.run.settings import Definition, EvalSettings, Experiment


def definition(model: str, default: Experiment | None = None) -> Definition:
    """The settings of `model` as its class has them, or those given; ranked against all items, which fits data of any
    size."""
    about = inspect.cleandoc(MODELS[model].__doc__).partition("\n\nAttributes:")[0]
    plain = Experiment(model=MODELS[model](), eval=EvalSettings(protocol="full", also=(), validation_protocol="full"))
    return Definition(
        name=model,
        summary=f"{about}\n\nNames of models: {', '.join(MODELS)}. --settings FILE starts from a settings.json or "
        "best.json.",
        default=default or plain,
        command=f"python -m socialjax train {model}",
    )


def main(arguments: list[str]) -> int:
    """Exit code of `socialjax train` with these arguments."""
    names = ", ".join(MODELS)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"{__doc__}\nmodels: {names}\n`python -m socialjax train MODEL --help` lists the settings of one.")
        return 0 if arguments else 2
    try:
        file, words = _settings_file(arguments)
        default = None if file is None else read_experiment(file)
    except (ValueError, OSError) as error:
        return fail(str(error), code=1)
    model = words[0] if words and not words[0].startswith("-") else default and name_of(default.model)
    if model not in MODELS:
        return fail(MODELS.unknown(model or arguments[0]))
    if default is not None and name_of(default.model) != model:
        return fail(f"{file} has the settings of {name_of(default.model)}, not of {model}; name one of the two")
    folder = value_of("--data.dir", words)
    if folder is not None and default is None and mapped.is_graph_folder(Path(folder)):
        return mapped.main(MODELS[model](), model, words[1:])
    try:
        defined = definition(model, default)
    except ValueError as error:  # of another package, and broken
        return fail(str(error), code=1)
    return run_experiment(defined, words[words[:1] == [model] :])


def _settings_file(words: list[str]) -> tuple[Path | None, list[str]]:
    """The file of `--settings FILE`, and the other words. Raises ValueError for the option without a file."""
    for place, word in enumerate(words):
        if word.startswith("--settings="):
            return Path(word.partition("=")[2]), words[:place] + words[place + 1 :]
        if word == "--settings":
            if place + 1 == len(words):
                raise ValueError("--settings wants a file, the settings.json of a run or the best.json of a search")
            return Path(words[place + 1]), words[:place] + words[place + 2 :]
    return None, words
