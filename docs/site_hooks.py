"""What the site has besides docs/*.md: pages of the root, kept tables, and the API reference, made of the code.

Links of a page are those of the repository, so that they work on GitHub as well. Here they are turned into those of the
site: a page of the root is one of the site, and any other file outside docs/ is copied to where the link leads.
"""

import inspect
import posixpath
import re
import sys
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parent.parent
PAGES = {  # of the repository -> of the site
    "README.md": "index.md",
    "BUILD.md": "build.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "launch/README.md": "launch.md",
}
FENCE = re.compile(r"(^ *```.*?^ *```[^\n]*$)", re.M | re.S)
LINK = re.compile(r'(?<=\]\()[^)\s]+(?=\))|(?<=src=")[^"]+(?=")|(?<=href=")[^"]+(?=")')


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Headings get GitHub's anchors, and the tables that are kept their places in the navigation."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    results = next(entries for part in config.nav for name, entries in part.items() if name == "Results")
    for page in sorted((ROOT / "docs" / "results").glob("*.md")):
        title = page.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        results.append({title: f"results/{page.name}"})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of the root, the API reference, and the files that links of all pages lead to."""
    for there, here in PAGES.items():
        files.append(File.generated(config, here, abs_src_path=str(ROOT / there)))
    for here, text in reference().items():
        files.append(File.generated(config, here, content=text))
    for file in list(files.documentation_pages()):
        for target in LINK.findall(FENCE.sub("", file.content_string)):
            outside = within_site(target, file.src_uri)
            if outside and outside.startswith("files/") and files.get_file_from_path(outside) is None:
                files.append(File.generated(config, outside, abs_src_path=str(ROOT / outside.removeprefix("files/"))))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with links of the site in place of those of the repository; code stays as it is."""
    parts = FENCE.split(markdown)
    return "".join(part if FENCE.fullmatch(part) else _linked(part, page.file, files) for part in parts)


def _linked(text: str, here: File, files: Files) -> str:
    def turned(match: re.Match) -> str:
        target = within_site(match[0], here.src_uri)
        if target is None:
            return match[0]
        anchor = match[0].partition("#")[1] + match[0].partition("#")[2]
        if text[match.start() - 1] == "(":
            return posixpath.relpath(target, posixpath.dirname(here.src_uri) or ".") + anchor
        found = files.get_file_from_path(target)  # HTML is taken as it stands, so it needs the address
        return (found.url_relative_to(here) if found else match[0]) + anchor

    return LINK.sub(turned, text)


def within_site(target: str, page: str) -> str | None:
    """Where a link of a page leads in the site; None for an address and for an anchor of the page itself.

    Args:
        target: as the page has it.
        page: of the site.

    Raises:
        PluginError: it leads to no file of the repository.
    """
    path = target.partition("#")[0]
    if not path or re.match(r"[a-z]+:", path):
        return None
    origin = next((there for there, here in PAGES.items() if here == page), f"docs/{page}")
    there = posixpath.normpath(str(PurePosixPath(origin).parent / path))
    if there.startswith("../") or not (ROOT / there).is_file():
        raise PluginError(f"{origin} links to {target}, which is no file of the repository")
    if there in PAGES:
        return PAGES[there]
    return there.removeprefix("docs/") if there.startswith("docs/") else f"files/{there}"


def reference() -> dict[str, str]:
    """The pages of the API reference: what `socialjax` offers, whatever module it stands in, and all listed models."""
    sys.path.insert(0, str(ROOT))
    try:
        import socialjax
        from socialjax.models import MODELS
        from socialjax.models.parts import DotProductModel, EmbeddingModel
        from socialjax.run.settings import EvalSettings, Experiment
    finally:
        sys.path.remove(str(ROOT))
    public = [getattr(socialjax, name) for name in socialjax.__all__]
    public = [thing for thing in public if inspect.isclass(thing) or inspect.isfunction(thing)]
    settings = [thing for thing in public if thing.__name__.endswith("Settings")]
    interface = [thing for thing in public if thing not in settings]
    models = "\n## What they share\n" + "".join(
        f"\n{_entry(kind, 3, False)}" for kind in (EmbeddingModel, DotProductModel)
    )
    models += "".join(f"\n## `{name}`\n\n{_entry(kind, 3, False)}" for name, kind in MODELS.items())
    return {
        "api/interface.md": "# Interface\n\nAll of it is imported from `socialjax`.\n" + _entries(interface),
        "api/settings.md": "# Settings\n\nEach field is an option of the commands, `--train.epochs` for `epochs`.\n"
        + _entries([*settings, EvalSettings, Experiment]),
        "api/models.md": "# Models\n\n`socialjax.fit` takes the name, for the settings of the class, or an object with "
        "settings of one's own. [Which model for which data](../choose_a_model.md).\n" + models,
        "api/contract.md": "# Contract of a model\n\nWhat a model implements; "
        "[Add a model](../add_a_model.md) writes one.\n\n::: socialjax.contract\n    options:\n"
        "      show_root_heading: false\n",
    }


def _entries(things: list) -> str:
    return "".join(f"\n{_entry(thing, 2)}" for thing in things)


def _entry(thing: type, level: int, members: bool = True) -> str:
    options = f"      heading_level: {level}\n" + ("" if members else "      members: false\n")
    return f"::: {thing.__module__}.{thing.__qualname__}\n    options:\n{options}"
