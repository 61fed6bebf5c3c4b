"""The docs as a site: built without a warning, every link leads somewhere, and nothing is fetched from elsewhere."""

import html.parser
import json
import os
import subprocess
import sys
import urllib.parse

import pytest

from socialjax import models
from tests.pages import ROOT

pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
pytest.importorskip("mkdocstrings", reason="the extra `docs` is not installed")


class Page(html.parser.HTMLParser):
    """Anchors of a page, and what it links to and loads."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loaded = set(), [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        target = values.get("src") or values.get("href")
        if target and tag == "a":
            self.links.append(target)
        elif target:
            self.loaded.append(target)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site, and its pages by path."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr[-4000:]
    return folder, {path: Page(path) for path in folder.rglob("*.html")}


def test_every_page_of_the_docs_is_one_of_the_site(site):
    folder, _ = site
    for path in [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "results").glob("*.md")]:
        there = folder / path.relative_to(ROOT / "docs").with_suffix("") / "index.html"
        assert there.is_file(), path
    start = (folder / "index.html").read_text()
    assert "Social and multimedia recommendation" in start
    for root in ("build", "changelog", "contributing", "security", "launch"):
        assert f'href="{root}/"' in start, "the navigation names it"


def test_links_lead_somewhere(site):
    folder, pages = site
    broken = []
    for path, page in pages.items():
        if path.name == "404.html":
            continue  # its links are from the root of the server
        for target in (*page.links, *page.loaded):
            address = urllib.parse.urlsplit(target)
            if address.scheme:
                continue
            there = path.parent / urllib.parse.unquote(address.path) if address.path else path
            there = there / "index.html" if there.is_dir() else there
            anchor = urllib.parse.unquote(address.fragment)
            if not there.is_file() or (anchor and there.suffix == ".html" and anchor not in pages_at(pages, there)):
                broken.append((str(path.relative_to(folder)), target))
    assert broken == []


def pages_at(pages, path):
    return pages[next(known for known in pages if known.samefile(path))].anchors


def test_nothing_is_loaded_from_other_servers(site):
    _, pages = site
    assert [target for page in pages.values() for target in page.loaded if target.startswith(("http", "//"))] == []


def test_the_reference_has_the_interface_and_every_model(site):
    _, pages = site
    named = {path.parent.name: page.anchors for path, page in pages.items() if path.parent.parent.name == "api"}
    interface = {anchor.rpartition(".")[2] for anchor in named["interface"]}
    assert {"fit", "load", "compare", "Run", "recommend_all", "explain", "Dataset", "from_pairs"} <= interface
    assert set(models.MODELS) <= named["models"]
    assert {"Model", "Traits"} <= {anchor.rpartition(".")[2] for anchor in named["contract"]}
    assert {"TrainSettings", "EvalSettings"} <= {anchor.rpartition(".")[2] for anchor in named["settings"]}


def test_formulas_of_docstrings_are_no_html(site):
    folder, _ = site
    assert "s = &lt;p_a, q_i&gt; + b_i" in (folder / "api" / "models" / "index.html").read_text()


def test_search_finds_a_model_and_a_method(site):
    folder, _ = site
    found = json.loads((folder / "search" / "search_index.json").read_text())["docs"]
    for word in ("social_lightgcn", "recommend_all", "stand-in"):
        assert any(word in entry["text"] or word in entry["title"] for entry in found), word


def test_a_link_out_of_the_repository_is_refused():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs"))
        import site_hooks

        assert site_hooks.within_site("../BUILD.md#set-up", "architecture.md") == "build.md"
        assert site_hooks.within_site("docs/data.md", "index.md") == "data.md"
        assert site_hooks.within_site("CITATION.cff", "index.md") == "files/CITATION.cff"
        assert site_hooks.within_site("https://example.com/x.md", "index.md") is None
        for target in ("../../../etc/passwd", "nowhere.md"):
            with pytest.raises(site_hooks.PluginError, match="no file of the repository"):
                site_hooks.within_site(target, "data.md")
