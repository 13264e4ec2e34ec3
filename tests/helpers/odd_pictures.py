"""Pictures as people have them, and files that are no usable picture; shared by the tests of rooms and commands."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

RED = (220, 30, 20)


def red(size: tuple[int, int] = (24, 16)) -> Image.Image:
    return Image.new("RGB", size, RED)


def usable(folder: Path) -> dict[str, Path]:
    """Kind to file; each is red all over, as far as its format can say so."""
    made: dict[str, Path] = {}

    def save(kind: str, picture: Image.Image, name: str, **options: object) -> None:
        made[kind] = folder / name
        picture.save(made[kind], **options)

    folder.mkdir(parents=True, exist_ok=True)
    rotated = Image.Exif()
    rotated[0x0112] = 6
    frames = [Image.new("RGB", (24, 16), "blue").convert("P", palette=Image.Palette.ADAPTIVE)]
    save("exif-rotated", red(), "rotated.jpg", exif=rotated)
    save("cmyk", red().convert("CMYK"), "cmyk.jpg", quality=95)
    save("palette", red().convert("P", palette=Image.Palette.ADAPTIVE), "palette.png")
    save("16-bit", Image.fromarray(np.full((16, 24), 40_000, np.uint16)), "deep.png")
    save("16-bit big-endian", Image.fromarray(np.full((16, 24), 40_000, ">u2")), "deep.tif")
    save("float", Image.fromarray(np.linspace(-1, 1, 384, dtype=np.float32).reshape(16, 24)), "float.tiff")
    save("grey", red().convert("L"), "grey.jpg")
    save("black and white", red().convert("1"), "bilevel.png")
    save("grey with alpha", red().convert("LA"), "alpha-grey.png")
    save("transparent", red().convert("RGBA"), "rgba.png")
    save("ycck", red().convert("YCbCr"), "ycbcr.jpg")
    save("gif", red(), "still.gif")
    save("animated gif", red(), "moving.gif", save_all=True, append_images=frames)
    save("webp", red(), "still.webp")
    save("animated webp", red(), "moving.webp", save_all=True, append_images=frames, lossless=True)
    save("animated png", red(), "moving.png", save_all=True, append_images=[Image.new("RGB", (24, 16), "blue")])
    save("avif", red(), "modern.avif")
    save("bmp", red(), "old.bmp")
    save("tiff", red(), "scan.tif", compression="tiff_lzw")
    save("phone's mpo", red(), "phone.jpg", format="MPO", save_all=True, append_images=[red()])
    save("progressive", red(), "progressive.jpg", progressive=True)
    save("png named jpg", red(), "really-png.jpg", format="PNG")
    save("no ending", red(), "no-ending", format="PNG")
    save("1 x 1", red((1, 1)), "dot.png")
    save("12,000 x 9", red((12_000, 9)), "ribbon.png")
    save("9 x 12,000", red((9, 12_000)), "pole.jpg")
    save("spaces and letters", red(), "my holiday photo Zürich 日本 😀.png")
    return made


def unusable(folder: Path) -> dict[str, tuple[Path, str]]:
    """Kind to file and a part of the reason that messages give."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = Image.effect_noise((200, 160), 80)
    whole = {}
    for ending in ("jpg", "png", "webp", "gif", "tif", "avif", "bmp"):
        noise.save(folder / f"whole.{ending}")
        whole[ending] = (folder / f"whole.{ending}").read_bytes()
    made: dict[str, tuple[Path, str]] = {"missing": (folder / "missing.jpg", "no such file")}

    def put(kind: str, name: str, content: bytes, reason: str) -> None:
        (folder / name).write_bytes(content)
        made[kind] = (folder / name, reason)

    for ending, content in whole.items():
        # An AVIF says at its start where its end must be, and without that is no AVIF.
        reason = "not a picture" if ending == "avif" else "damaged or cut off"
        put(f"truncated {ending}", f"cut.{ending}", content[: len(content) * 2 // 3], reason)
    middle = len(whole["png"]) // 2
    put(
        "corrupt png", "bits.png", whole["png"][:middle] + bytes(64) + whole["png"][middle + 64 :], "damaged or cut off"
    )
    put("corrupt webp", "bits.webp", whole["webp"][:20] + bytes(200) + whole["webp"][220:], "damaged or cut off")
    put("only a header", "header.jpg", whole["jpg"][:3], "not a picture")
    put("zero bytes", "empty.jpg", b"", "0 bytes")
    put("svg", "drawing.jpg", b'<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>', "not a picture")
    put("pdf", "paper.jpg", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "not a picture")
    put("html", "error404.jpg", b"<!DOCTYPE html><html><body>404</body></html>", "not a picture")
    put("postscript", "print.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture")
    put("bomb", "bomb.png", bomb(), "too large to open safely")
    (folder / "album.jpg").mkdir(exist_ok=True)
    made["folder"] = (folder / "album.jpg", "a folder")
    return made


def bomb(width: int = 20_000, height: int = 20_000) -> bytes:
    """A PNG of 400 million pixels in a few kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    pack = zlib.compressobj(9)
    row = bytes(1 + width // 8)
    pixels = b"".join(pack.compress(row) for _ in range(height)) + pack.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
