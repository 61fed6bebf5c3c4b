"""The drawn world of garments as a catalogue: its items' pictures, and others to learn attributes from."""

from pathlib import Path

from PIL import Image

from socialjax.data.own.attribute_files import PICTURES
from socialjax.vision.catalogue import Material
from socialjax.vision.labelled.labelled_pictures import LabelledPictures
from socialjax.worlds.garment_pictures import CLASSES, NAMES, PRESENT
from socialjax.worlds.garments import GarmentWorld, garment_world, garments


def made(folder: Path, users: int, items: int, purchases: int, pictures: int, seed: int = 0) -> Material:
    """The drawn world of garments. Its items' pictures are written into the folder, for explanations."""
    world = garment_world(seed, users, items, purchases)
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    for name, picture in zip(world.data.item_pictures, world.pictures.pixels):
        Image.fromarray(picture).save(folder / PICTURES / str(name))
    return drawn(world, garments(seed + 1, pictures))


def drawn(world: GarmentWorld, labelled: LabelledPictures) -> Material:
    """A world of garments, and others to learn attributes from."""
    absent = {
        name: tuple(each for each, there in zip(of, present) if not there)
        for name, of, present in zip(NAMES, CLASSES, PRESENT)
    }
    return Material(
        data=world.data,
        cold_test=world.cold_test,
        cold=world.cold,
        items=lambda rows: world.pictures.pixels[rows],
        labelled=labelled,
        learned=lambda rows: labelled.pixels[rows],
        absent=absent,
    )
