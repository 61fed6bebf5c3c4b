"""Pictures of the page of `socialjax serve`, on a small synthetic world.

python -m tests.serve.screenshot FOLDER     # wide, narrow, dark, a new user, the interface; docs/serve.png of the first
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

import asking
import chromium
import photo_club


def main(out: Path) -> None:
    """Writes the pictures of both runs."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, chromium.opened() as page:
        data = photo_club.photo_club(Path(place) / "pictures")
        for model in ("diffnet", "jifr"):
            run = photo_club.trained(data, Path(place) / model, model, epochs=40)
            with asking.serving(run, Path(place) / "pictures") as client:
                photographed(page, client.url, model, out)


def photographed(page, url: str, model: str, out: Path) -> None:
    """Writes the pictures of one run."""
    page.size(1400, 950)
    page.open(f"{url}#user=Cleo+1")
    page.wait("document.querySelectorAll('#items > li').length")
    page.wait("[...document.images].every((image) => image.complete)")
    page.value("document.querySelector('#items details').open = true")
    page.value("new Promise((done) => setTimeout(done, 600))")
    page.picture(out / f"{model}-wide.png")
    if model == "diffnet":  # in 256 colours, since it is kept in the repository
        with Image.open(out / "diffnet-wide.png") as shown:
            shown.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(out / "serve.png", optimize=True)
    page.size(400, 900)
    page.picture(out / f"{model}-narrow.png", whole=True)
    page.size(1400, 950, dark=True)
    page.picture(out / f"{model}-dark.png")
    page.size(1400, 950)
    page.value("document.querySelector('#history button')?.click()")
    page.value("document.querySelector('#friends button')?.click()")
    page.value("new Promise((done) => setTimeout(done, 900))")
    page.picture(out / f"{model}-new.png")
    page.open(f"{url}docs")
    page.wait("document.querySelectorAll('section').length")
    page.picture(out / "interface.png")
    print(model, page.errors or "no complaints")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
