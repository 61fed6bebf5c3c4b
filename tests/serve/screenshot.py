"""Pictures of the page of `socialjax serve`, on a small synthetic world.

python -m tests.serve.screenshot FOLDER     # wide, narrow, dark, a new user, the interface; docs/serve.png is wide.png
"""

import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import chromium
import photo_club

from socialjax.serve import server
from socialjax.serve.answers import Answers
from socialjax.serve.app import application
from socialjax.serve.pictures import Pictures


def started(app):
    """(server, its address, its thread) of an application on a free port."""
    listener, ready = server.bound("127.0.0.1", 0), threading.Event()
    url, running = server.address(listener), server.Server(app, ready.set)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    assert ready.wait(60)
    return running, url, thread


def ended(running, thread) -> None:
    running.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, chromium.opened() as page:
        data = photo_club.photo_club(Path(place) / "pictures")
        for model in ("diffnet", "jifr"):
            run = photo_club.trained(data, Path(place) / model, model, epochs=40)
            answers = Answers(run, Pictures(run, Path(place) / "pictures"))
            running, url, thread = started(application(answers))
            page.size(1400, 950)
            page.open(f"{url}#user=Cleo+1")
            page.wait("document.querySelectorAll('#items > li').length")
            page.wait("[...document.images].every((image) => image.complete)")
            page.value("document.querySelector('#items details').open = true")
            page.value("new Promise((done) => setTimeout(done, 600))")
            page.picture(out / f"{model}-wide.png")
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
            print(model, page.errors, {address.split("?")[0] for address in page.addresses})
            ended(running, thread)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
