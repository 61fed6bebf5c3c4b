"""Statistics of colours and textures: known answers on drawn pictures, loops beside the fast form."""

import colorsys

import numpy as np
import pytest

from socialjax.vision.colour_texture import WIDTH, colour_texture, joined

HUES, SATURATIONS, VALUES, EDGES = (slice(9 + 8 * n, 17 + 8 * n) for n in range(4))


def plain(colour, size=8):
    return np.full((1, size, size, 3), colour, np.uint8)


def slow(picture):
    """Histograms of hue, saturation and value and of binary patterns, pixel by pixel."""
    tables, patterns = np.zeros((3, 8)), np.zeros(10)
    for pixel in picture.reshape(-1, 3) / 255:
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        for table, x, weight in zip(tables, (hue, saturation, value), (saturation * value, 1, 1)):
            table[min(int(x * 8), 7)] += weight
    grey = (picture / 255).astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    for y in range(1, picture.shape[0] - 1):
        for x in range(1, picture.shape[1] - 1):
            ring = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
            bits = [grey[y + a, x + b] >= grey[y, x] for a, b in ring]
            changes = sum(bits[n] != bits[n - 1] for n in range(8))
            patterns[sum(bits) if changes <= 2 else 9] += 1
    return np.concatenate([*(t / max(t.sum(), 1e-30) for t in tables), patterns / patterns.sum()])


def test_histograms_and_patterns_equal_loops_over_pixels():
    pictures = np.random.default_rng(0).integers(0, 256, (3, 9, 7, 3)).astype(np.uint8)
    got = colour_texture(pictures)
    assert got.shape == (3, WIDTH) and got.dtype == np.float32
    for row, picture in zip(got, pictures):
        np.testing.assert_allclose(np.concatenate([row[9:33], row[42:]]), slow(picture), atol=0.02)
        flat = picture.reshape(-1, 3) / 255
        np.testing.assert_allclose(row[:3], flat.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(row[3:6], flat.std(axis=0), atol=1e-5)


def test_a_plain_picture_has_its_colour_and_no_texture():
    red, grey = colour_texture(plain((255, 0, 0)))[0], colour_texture(plain((128, 128, 128)))[0]
    assert red[HUES].argmax() == 0 and red[HUES].sum() == red[SATURATIONS][7] == red[VALUES][7] == 1
    assert not grey[HUES].any() and grey[SATURATIONS][0] == 1 and grey[VALUES][4] == 1
    assert not red[EDGES].any() and red[41] == 0 and red[42 + 8] == 1  # every neighbour is as bright


def test_stripes_lie_in_the_direction_in_which_the_brightness_changes():
    upright = np.zeros((1, 16, 16, 3), np.uint8)
    upright[:, :, ::4] = upright[:, :, 1::4] = 255
    lying = upright.transpose(0, 2, 1, 3)
    one, other = colour_texture(upright)[0], colour_texture(lying)[0]
    assert one[EDGES].argmax() == 0 and other[EDGES].argmax() == 4
    np.testing.assert_allclose(one[:33], other[:33], atol=1e-6)


def test_joined_tables_have_the_same_say_whatever_their_scale():
    rng = np.random.default_rng(0)
    wide, narrow = rng.normal(5, 100, (50, 30)).astype(np.float32), rng.normal(0, 1e-3, (50, 4)).astype(np.float32)
    narrow[:, 2] = 7
    both = joined(wide, narrow)
    assert both.shape == (50, 34) and not both[:, 32].any()
    for part in (both[:, :30], both[:, 30:]):
        np.testing.assert_allclose(np.linalg.norm(part, axis=1).mean(), 1, rtol=1e-5)
        np.testing.assert_allclose(part.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(joined(wide * 3 + 1, narrow), both, atol=1e-5)


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8, 3)), np.zeros((1, 2, 8, 3), np.uint8)]
)
def test_anything_but_rgb_bytes_is_refused(wrong):
    with pytest.raises(ValueError, match=r"wanted pictures u8\[N, H, W, 3\]"):
        colour_texture(wrong)
