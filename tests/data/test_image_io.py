import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kidneyct_lib.data.hounsfield import apply_window
from kidneyct_lib.data.image_io import (
    ImageError,
    gray_to_rgb,
    quiet_decoders,
    read_color,
    read_gray,
    resize,
    rgb_to_gray,
)

AXIAL = Path(__file__).parents[3] / "shared" / "data" / "kidney-ct-axial"
NOISE = np.random.default_rng(0).integers(0, 256, (40, 32), dtype=np.uint8)
COLOR = np.random.default_rng(1).integers(0, 256, (40, 32, 3), dtype=np.uint8)


def encode(image, kind="PNG", **options):
    """File content of an array or a Pillow image."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def weighed(rgb):
    """Literal BT.601 luma."""
    return np.rint(rgb.astype(float) @ [0.299, 0.587, 0.114])


def png_header(width, height):
    """Return a PNG that promises `width` x `height` and holds no pixels."""

    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    idat = chunk(b"IDAT", zlib.compress(b""))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + idat + chunk(b"IEND", b"")


# --- gray and colour ---


def test_gray_jpeg_is_decoded_as_pillow_decodes_it():
    data = encode(NOISE, "JPEG", quality=70)
    expected = np.asarray(Image.open(io.BytesIO(data)))
    assert expected.shape == NOISE.shape
    np.testing.assert_array_equal(read_gray(data), expected)


@pytest.mark.skipif(not AXIAL.is_dir(), reason="needs the real slices in ../shared")
def test_real_slices_are_decoded_as_pillow_decodes_them():
    files = sorted(AXIAL.glob("*/*.jpg"))[::400]
    assert files
    for file in files:
        with Image.open(file) as image:
            np.testing.assert_array_equal(read_gray(file), np.asarray(image.convert("L")))


def test_equal_channels_give_exactly_that_channel():
    every = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(rgb_to_gray(np.stack([every] * 3, -1)), every)
    np.testing.assert_array_equal(read_gray(encode(np.stack([every] * 3, -1))), every)


def test_colour_is_weighed_by_luma_in_rgb_order():
    assert np.abs(read_gray(encode(COLOR)) - weighed(COLOR)).max() <= 1
    pure = np.eye(3, dtype=np.uint8)[None] * 255
    np.testing.assert_array_equal(rgb_to_gray(pure), [[76, 150, 29]])


def test_read_color_keeps_rgb_as_stored_and_repeats_gray():
    np.testing.assert_array_equal(read_color(encode(COLOR)), COLOR)
    np.testing.assert_array_equal(read_color(encode(NOISE)), np.stack([NOISE] * 3, -1))


@pytest.mark.parametrize("shape", [(5, 7), (3, 5, 7), (2, 3, 5, 7), (0, 5, 7), (1, 1)])
def test_gray_to_rgb_repeats_the_channel_of_any_stack(shape):
    gray = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(gray_to_rgb(gray), np.stack([gray] * 3, -1))
    assert gray_to_rgb(gray).dtype == np.uint8


def test_gray_to_rgb_takes_views():
    for view in (NOISE[::2, ::3], NOISE[::-1, ::-1], NOISE.T, COLOR.transpose(2, 1, 0)[:, ::-1]):
        np.testing.assert_array_equal(gray_to_rgb(view), np.stack([view] * 3, -1))


# --- resize ---


def test_shrinking_averages_blocks():
    blocks = NOISE[:32].reshape(8, 4, 8, 4).astype(float).mean((1, 3))
    assert np.abs(resize(NOISE[:32], 8) - blocks).max() <= 0.5


def test_growing_is_linear():
    ramp = np.array([[0, 100], [0, 100]], np.uint8)
    np.testing.assert_array_equal(resize(ramp, 4)[0], [0, 25, 75, 100])


def test_a_side_that_shrinks_is_averaged_also_where_the_other_grows():
    stripes = np.tile(np.array([[0, 200]], np.uint8), (2, 64))
    np.testing.assert_array_equal(resize(stripes, 16), np.full((16, 16), 100))


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 2), (512, 400), (224, 224)])
def test_a_constant_image_stays_constant(shape):
    np.testing.assert_array_equal(
        resize(np.full(shape, 77, np.uint8), 224), np.full((224, 224), 77)
    )


def test_resize_works_alike_on_each_channel_and_leaves_the_right_size_alone():
    channels = [resize(np.ascontiguousarray(COLOR[..., i]), 20) for i in range(3)]
    np.testing.assert_array_equal(resize(COLOR, 20), np.stack(channels, -1))
    np.testing.assert_array_equal(resize(NOISE[:32], 32), NOISE[:32])


# --- 16-bit and float ---


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    ("top", "bits"), [(200, 8), (256, 10), (1023, 10), (4095, 12), (5000, 14), (65535, 16)]
)
def test_unsigned_values_are_scaled_by_the_bit_depth_that_holds_them(kind, top, bits):
    values = np.linspace(0, top, 12).astype(np.uint16).reshape(3, 4)
    gray = read_gray(encode(values, kind))
    np.testing.assert_array_equal(gray, np.rint(values / (2**bits - 1) * 255))
    assert gray.dtype == np.uint8


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_eight_bit_content_survives_a_16_bit_file(kind):
    np.testing.assert_array_equal(read_gray(encode(NOISE.astype(np.uint16), kind)), NOISE)


@pytest.mark.parametrize("low", [-1000, 0])
def test_signed_tiff_values_are_hounsfield_units(low):
    values = np.linspace(low, 1500, 12).astype(np.int32).reshape(3, 4)
    data = encode(values, "TIFF")
    np.testing.assert_array_equal(read_gray(data), apply_window(values, 40, 400))
    np.testing.assert_array_equal(
        read_gray(data, window=(300, 1500)), apply_window(values, 300, 1500)
    )


def test_16_bit_tiff_that_stores_white_as_zero_is_inverted():
    values = np.array([[0, 1000, 4095]], np.uint16)
    data = encode(values, "TIFF", tiffinfo={262: 0})
    np.testing.assert_array_equal(read_gray(data), 255 - read_gray(encode(values, "TIFF")))


def test_float_tiff_is_refused_with_a_way_out():
    with pytest.raises(ImageError, match=r"floating-point.*16-bit"):
        read_gray(encode(np.array([[0.5, 1.5]], np.float32), "TIFF"))


# --- modes of display images ---


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_black(mode):
    image = Image.fromarray(NOISE).convert(mode)
    alpha = Image.fromarray(np.tile(np.array([[0, 128, 255, 255]], np.uint8), (40, 8)))
    image.putalpha(alpha)
    expected = NOISE * (np.asarray(alpha) / 255)
    gray = read_gray(encode(image))
    assert np.abs(gray - expected).max() <= 1
    np.testing.assert_array_equal(gray[:, 2::4], NOISE[:, 2::4])


def test_transparent_palette_entry_and_gray_level_are_black():
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), mode="L").convert("P")
    palette.putpalette([200, 200, 200, 90, 90, 90])
    np.testing.assert_array_equal(read_gray(encode(palette)), [[200, 90]])
    np.testing.assert_array_equal(read_gray(encode(palette, transparency=0)), [[0, 90]])
    level = encode(np.array([[200, 90]], np.uint8), transparency=200)
    np.testing.assert_array_equal(read_gray(level), [[0, 90]])


def test_one_bit_images_are_black_and_white():
    bits = NOISE > 127
    np.testing.assert_array_equal(read_gray(encode(bits)), bits * 255)
    np.testing.assert_array_equal(read_gray(encode(bits, "TIFF")), bits * 255)


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_is_read_as_the_colour_it_prints(kind):
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert np.abs(read_color(encode(ink, kind)).astype(int) - [255, 0, 0]).max() <= 3
    assert np.abs(read_gray(encode(ink, kind)).astype(int) - 76).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_exif_orientation_is_obeyed(kind):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned = read_gray(encode(NOISE, kind, exif=exif))
    np.testing.assert_array_equal(turned, np.rot90(read_gray(encode(NOISE, kind)), -1))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_one_pixel_is_an_image(kind):
    pixel = read_gray(encode(np.array([[90]], np.uint8), kind))
    assert pixel.shape == (1, 1)
    assert resize(pixel, 8).tolist() == [[90] * 8] * 8


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_of_several_pages_none_is_taken(kind):
    pages = [Image.fromarray(255 - NOISE)]
    data = encode(NOISE, kind, save_all=True, append_images=pages)
    with pytest.raises(ImageError, match="2 pages"):
        read_gray(data)


def test_format_is_decided_by_content_and_pixels_can_be_written(tmp_path):
    for kind in ("PNG", "TIFF", "JPEG"):
        file = tmp_path / f"{kind}.txt"
        file.write_bytes(encode(NOISE, kind))
        gray, same = read_gray(file), read_gray(str(file))
        np.testing.assert_array_equal(gray, same)
        assert gray.shape == NOISE.shape
        gray[0, 0] = 1


# --- bad input ---


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
@pytest.mark.parametrize("image", [NOISE, COLOR], ids=["gray", "color"])
def test_every_cut_short_file_is_refused(kind, image, silence):
    data = encode(image, kind)
    for length in {*range(0, len(data), 17), *range(len(data) - 40, len(data))}:
        with pytest.raises(ImageError):
            read_gray(data[:length])


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
@settings(deadline=None)
@given(data=st.data())
def test_damaged_bytes_give_an_image_or_an_image_error(kind, data):
    content = bytearray(encode(NOISE, kind))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        gray = read_gray(bytes(content))
    except ImageError:
        return
    assert gray.ndim == 2
    assert gray.dtype == np.uint8


BAD = {
    "empty.png": (b"", "is empty"),
    "text.png": (b"these are words", "not a JPEG, PNG, TIFF or DICOM"),
    "page.jpg": (b"<!DOCTYPE html><html></html>", "not a JPEG, PNG, TIFF or DICOM"),
    "cut.jpg": (encode(NOISE, "JPEG")[:-200], "damaged, cut short"),
    "cut.png": (encode(NOISE)[:-200], "cut short"),
    "huge.png": (png_header(20_000, 20_000), r"20000 x 20000 = 400,000,000.*67,108,864"),
    "warned.png": (png_header(10_000, 10_000), r"10000 x 10000 = 100,000,000.*67,108,864"),
    "hollow.png": (png_header(16, 16), "damaged, cut short"),
    "animated.gif": (encode(NOISE, "GIF"), "not a JPEG, PNG, TIFF or DICOM"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_named_and_explained_and_nothing_is_printed(name, tmp_path, silence):
    content, reason = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=rf"{name}: .*{reason}.*[;.]"):
        read_gray(tmp_path / name)
    with pytest.raises(ImageError, match=reason):
        read_color(content)


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(ImageError, match=r"absent\.png: there is no such file"):
        read_gray(tmp_path / "absent.png")
    with pytest.raises(ImageError, match="folder"):
        read_gray(tmp_path)


def test_of_a_file_that_is_no_image_only_the_head_is_read(tmp_path):
    vast = tmp_path / "vast.png"
    with vast.open("wb") as file:
        file.truncate(2**40)  # sparse: takes no room, and would not fit into memory
    with pytest.raises(ImageError, match="not a JPEG"):
        read_gray(vast)


def test_warning_filters_are_the_same_after_a_pool_of_decoders():
    before = list(warnings.filters)
    content = [encode(NOISE, "JPEG"), encode(NOISE)] * 100
    with quiet_decoders(), ThreadPoolExecutor(8) as pool:
        list(pool.map(read_gray, content))
    assert list(warnings.filters) == before


def test_cv2_reads_the_same_gray_of_a_png():
    data = np.frombuffer(encode(NOISE), np.uint8)
    np.testing.assert_array_equal(read_gray(data.tobytes()), cv2.imdecode(data, 0))
