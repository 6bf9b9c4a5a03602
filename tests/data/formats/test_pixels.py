"""Every image mode is converted or refused by name (trap 24)."""

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from simulacra.data.formats import pixels as module
from simulacra.data.formats.colour import to_pixels
from simulacra.data.formats.fitting import fit
from simulacra.data.formats.pixels import decode, decode_all, decode_file, measure
from simulacra.data.formats.refused import Refused


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def flat(mode, colour, size=(4, 3)):
    return Image.new(mode, size, colour)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (flat("1", 1), [255]),
        (flat("L", 77), [77]),
        (flat("RGB", (10, 20, 30)), [10, 20, 30]),
        (flat("CMYK", (0, 255, 255, 0)), [255, 0, 0]),
        (flat("YCbCr", (255, 128, 128)), [255, 255, 255]),
        (flat("HSV", (0, 255, 255)), [255, 0, 0]),
        (flat("I", 65535), [255]),
        (flat("I", 257 * 100), [100]),
        (flat("I;16", 257 * 7), [7]),
        (flat("F", 0.5), [128]),
        (flat("RGBX", (1, 2, 3, 4)), [1, 2, 3]),
        (flat("LA", (0, 255)), [0]),
        (flat("LA", (0, 0)), [255]),
        (flat("RGBA", (255, 0, 0, 255)), [255, 0, 0]),
        (flat("RGBA", (255, 0, 0, 0)), [255, 255, 255]),
        (flat("RGBA", (0, 0, 0, 51)), [204, 204, 204]),
    ],
    ids=lambda value: f"{value.mode}-{value.getpixel((0, 0))}" if isinstance(value, Image.Image) else None,
)
def test_a_mode_becomes_8_bit_grey_or_colour(image, expected):
    found = to_pixels(image)
    assert found.dtype == np.uint8
    assert found.shape == (3, 4, len(expected))
    assert (found == expected).all()


def test_lab_becomes_rgb_by_colour_management():
    found = to_pixels(flat("LAB", (255, 128, 128)))
    assert found.shape == (3, 4, 3)
    assert (found >= 250).all()


def test_a_palette_of_colours_is_colour_and_one_of_greys_is_grey():
    colours = flat("RGB", (200, 10, 10)).quantize(4)
    greys = flat("L", 90).convert("P")
    assert colours.mode == greys.mode == "P"
    assert (to_pixels(colours) == [200, 10, 10]).all()
    assert to_pixels(greys).shape == (3, 4, 1)
    assert (to_pixels(greys) == 90).all()


def test_a_palette_with_alpha_is_put_on_white():
    image = flat("P", 1)
    image.putpalette([0, 0, 0, 250, 0, 0])
    assert (to_pixels(image) == [250, 0, 0]).all()
    image.info["transparency"] = 1
    assert (to_pixels(image) == 255).all()
    transparent = Image.new("PA", (4, 3))
    transparent.putpalette([9, 8, 7])
    assert (to_pixels(transparent) == 255).all()


def test_a_colour_key_in_a_png_is_put_on_white():
    content = saved(flat("RGB", (1, 2, 3)), "PNG", transparency=(1, 2, 3))
    assert (decode(content) == 255).all()
    assert decode(saved(flat("L", 5), "PNG", transparency=5)).shape == (3, 4, 1)


def test_16_bit_png_and_tiff_are_scaled_not_clipped():
    values = np.array([[0, 257, 1000, 65535]], dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        assert decode(saved(Image.fromarray(values), kind)).ravel().tolist() == [0, 1, 4, 255]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (flat("I", 70_000), "mode I with values outside 0..65535"),
        (flat("I", -1), "mode I with values outside 0..65535"),
        (flat("F", 2.0), "mode F with values outside"),
        (flat("F", float("nan")), "mode F with values that are not finite"),
    ],
)
def test_a_mode_without_8_bit_meaning_is_refused_by_name(image, reason):
    with pytest.raises(Refused, match=reason):
        decode(saved(image, "TIFF"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "TGA", "JPEG2000"])
def test_every_usual_format_is_read(kind):
    assert decode(saved(flat("RGB", (40, 90, 200), (16, 16)), kind)).shape == (16, 16, 3)


def test_a_cmyk_jpeg_is_read_as_colour():
    found = decode(saved(flat("CMYK", (0, 0, 0, 0), (16, 16)), "JPEG"))
    assert (found >= 250).all()
    assert found.shape == (16, 16, 3)


def test_of_an_animation_the_first_frame_is_taken():
    frames = [flat("L", 0), flat("L", 255)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode(content) == 0).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind, orientation):
    upright = np.zeros((16, 32), dtype=np.uint8)
    upright[:8, :16] = 255  # bright at the top left
    # How a camera stores a picture that is to be shown with this orientation.
    turns = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T}
    turns |= {6: np.rot90(upright, 1), 7: upright[::-1, ::-1].T, 8: np.rot90(upright, -1)}
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(turns[orientation])).convert("RGB")
    found = decode(saved(stored, kind, exif=exif))
    assert found.shape == (16, 32, 3)
    assert found[2:6, 2:14].min() > 200
    assert found[10:, 18:].max() < 50
    assert found[:6, 18:].max() < 50


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(kind, share):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    content = saved(noise, kind)
    with pytest.raises(Refused, match=r"truncated|damaged"):
        decode(content[: int(len(content) * share)])


def test_an_empty_file_is_refused():
    with pytest.raises(Refused, match="empty file"):
        decode(b"")


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_refused(content):
    for start in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"II*\x00", b"BM", b"P6 "):
        with suppress(Refused):
            assert decode(start + content).size > 0


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(monkeypatch):
    content = saved(flat("L", 0, (100, 100)), "PNG")
    monkeypatch.setattr(module, "PIXEL_LIMIT", 9_999)
    with pytest.raises(Refused, match="decompression bomb"):
        decode(content)
    huge = saved(flat("1", 0, (20_000, 20_000)), "PNG")
    monkeypatch.undo()
    with pytest.raises(Refused, match="decompression bomb"):
        decode(huge)


def test_postscript_is_not_handed_to_another_program():
    with pytest.raises(Refused, match="no image"):
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")


def test_resizing_keeps_proportions_and_crops_the_centre():
    wide = np.zeros((10, 30, 3), dtype=np.uint8)
    wide[:, 10:20] = 200  # the centre square; squashing would mix the black sides in
    assert fit(wide, (5, 5), 0).min() > 180  # the filter reaches a little beyond the crop
    assert fit(wide.transpose(1, 0, 2), (5, 5), 0).min() > 180
    assert fit(wide, (5, 15), 0).min() == 0


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 2, 3, 4]))
def test_fit_gives_the_shape_asked_for_and_keeps_flat_images_flat(height, width, rows, columns, channels):
    image = np.full((height, width, channels), 9, dtype=np.uint8)
    found = fit(image, (rows, columns), 0)
    assert found.shape == (rows, columns, channels)
    assert (found == 9).all()


def test_a_large_jpeg_is_decoded_at_a_fraction_that_leaves_enough_for_resizing():
    tiles = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    content = saved(Image.fromarray(tiles).resize((1600, 1200), Image.Resampling.BICUBIC), "JPEG", quality=95)
    full, fast = decode(content), decode(content, 64)
    assert full.shape == (1200, 1600, 3)
    assert 3 * 64 <= min(fast.shape[:2]) < 1200
    difference = fit(full, (64, 64), 0).astype(int) - fit(fast, (64, 64), 0).astype(int)
    assert np.abs(difference).max() <= 4  # of 255
    assert decode(content, 401).shape == full.shape


def test_channels_are_converted_by_luminance_and_repetition():
    colour = np.full((2, 2, 3), [255, 0, 0], dtype=np.uint8)
    assert (fit(colour, None, 1) == 76).all()  # 0.299 x 255
    assert (fit(colour[:, :, :1], None, 3) == 255).all()
    with pytest.raises(Refused, match="4 channels cannot become 3"):
        fit(np.zeros((2, 2, 4), np.uint8), None, 3)


# --- Sizes from headers --------------------------------------------------------------------------------------------------

KINDS = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF", "JPEG2000", "BMP", "TGA", "PPM")


def turned(kind, orientation, how, mode="RGB"):
    """Return an image file of 5 rows and 7 columns with an orientation in EXIF, XMP or after the pixels of a PNG file."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    text = f'<x tiff:Orientation="{orientation}"/>'
    options = {"xmp": text.encode()} if how == "xmp" else {"exif": exif}
    content = saved(image, kind, **(options if kind in {"PNG", "JPEG", "WEBP", "TIFF", "AVIF"} else {}))
    if how == "late" and kind == "PNG":  # the chunk eXIf is moved from before the pixels to the end
        start = content.index(b"eXIf") - 4
        stop = start + 12 + int.from_bytes(content[start : start + 4], "big")
        content = content[:start] + content[stop:-12] + content[start:stop] + content[-12:]
    return content


@pytest.mark.parametrize("how", ["exif", "xmp", "late"])
@pytest.mark.parametrize("kind", KINDS)
def test_measuring_gives_the_shape_of_the_decoded_image_for_every_format_and_orientation(kind, how):
    for orientation in range(10):
        content = turned(kind, orientation, how)
        assert measure(io.BytesIO(content)) == decode(content).shape, orientation


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_measuring_gives_the_channels_of_every_mode(mode):
    for kind in ("PNG", "TIFF"):
        image = flat("L", 9).convert("I").convert("I;16") if mode == "I;16" else flat("RGB", (9, 9, 9)).convert(mode)
        content = saved(image, kind)
        assert measure(io.BytesIO(content)) == decode(content).shape


def test_a_late_orientation_is_after_the_pixels_and_turns_them():
    content = turned("PNG", 6, "late")
    assert content.index(b"IDAT") < content.index(b"eXIf")
    assert decode(content).shape == (7, 5, 3)


# --- Large files and files of several images -----------------------------------------------------------------------------


def test_a_large_jpeg_file_is_decoded_at_a_reduced_size_and_refused_without_one(monkeypatch):
    monkeypatch.setattr(module, "PIXEL_LIMIT", 10_000)
    content = saved(Image.linear_gradient("L").resize((800, 600)), "JPEG")
    assert decode(content, 10).shape == (75, 100, 1)
    with pytest.raises(Refused, match=r"decompression bomb.*add --size to decode JPEG files at a reduced size"):
        decode(content)
    with pytest.raises(Refused, match="decompression bomb"):
        decode(saved(flat("L", 0, (800, 600)), "PNG"), 10)


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG"])
def test_every_page_and_frame_is_an_image_on_request(kind):
    frames = [flat("L", 40 * at) for at in range(4)]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    content = saved(frames[0], kind, save_all=True, append_images=frames[1:], **lossless)
    first, found = decode_file(content), list(decode_all(content))
    assert first.traits.images == 4
    assert [int(image.pixels.mean()) for image in found] == [0, 40, 80, 120]
    assert (found[0].pixels == first.pixels).all()


def test_reduced_copies_in_a_tiff_file_are_no_pages():
    reduced = TiffImagePlugin.ImageFileDirectory_v2()
    reduced[254] = 1
    pages = [flat("L", 10), flat("L", 20, (2, 2)), flat("L", 30)]
    pages[1].encoderinfo = {"tiffinfo": reduced}
    content = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert [int(image.pixels.mean()) for image in decode_all(content)] == [10, 30]


def test_the_first_image_of_a_file_that_is_damaged_later_is_decoded():
    frames = [flat("L", 40 * at, (40, 40)) for at in range(3)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(content[:-30]).shape == (40, 40, 1)
