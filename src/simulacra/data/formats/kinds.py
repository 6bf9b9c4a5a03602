"""Kinds of files: which are images by their name or their first bytes, and how others become images."""

import re
from posixpath import splitext

_SUFFIXES = "png jpg jpeg jpe jfif webp bmp dib gif tif tiff ppm pgm pbm pnm tga jp2 j2k avif"
SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())
HEIF = frozenset({".heic", ".heif", ".hif"})
_RAW = frozenset((".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw", ".x3f"))
_DRAWN = frozenset((".svg", ".eps", ".ai", ".pdf", ".psd", ".xcf"))
_VIDEO = frozenset((".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"))
_TEXTS = (
    ".txt",
    ".md",
    ".csv",
    ".tsv",
    ".json",
    ".jsonl",
    ".xml",
    ".html",
    ".yaml",
    ".yml",
    ".toml",
    ".ini",
    ".log",
    ".py",
    ".cls",
)
_ARRAYS = (".npy", ".npz", ".pt", ".pth", ".safetensors", ".h5", ".mat", ".db")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
_OTHER = frozenset((*_TEXTS, *_ARRAYS, *_ARCHIVES))
HEAD = 32  # bytes at the start of a file that show the kind of a file
_MAGIC = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|BM.{4}\0{4}|II\*\0|MM\0\*|P[1-6]\s|\0\0\0\x0cjP  |\xff\x4f\xff\x51"
    rb"|.{4}ftypavi[fs]",
    re.DOTALL,
)
_HEIF_MAGIC = re.compile(rb".{4}ftyp(?:hei[cx]|hev[cx]|mif1|msf1)", re.DOTALL)
_NEEDS_HEIF = "Pillow reads HEIC only with the package pillow-heif: pip install pillow-heif, or convert the files to JPEG"
_HEIF_READER = "pillow_heif"


def reason_by_name(name: str) -> str | None:
    """Return why a file with this name is not an image; empty if it is one, None if only its contents can decide.

    >>> reason_by_name("IMG_1.JPG"), reason_by_name("notes.txt"), reason_by_name("photo.jpg_large")
    ('', 'not an image (.txt)', None)
    """
    suffix = splitext(name)[1].lower()
    if suffix in SUFFIXES:
        return ""
    if suffix in HEIF:
        return "" if reads_heif() else f"{suffix[1:].upper()} photograph: {_NEEDS_HEIF}"
    if suffix in _RAW:
        return f"raw photograph ({suffix}): develop it to JPEG or TIFF, for example with darktable or RawTherapee"
    if suffix in _DRAWN:
        return f"drawing or document ({suffix}): export it as PNG"
    if suffix in _VIDEO:
        return f"video ({suffix}): extract its frames, for example with ffmpeg"
    return f"not an image ({suffix})" if suffix in _OTHER else None


def reason_by_head(name: str, head: bytes) -> str:
    """Return why a file with these first bytes is not an image; empty if it is one.

    >>> reason_by_head("photo.jpg_large", bytes([255, 216, 255, 224])), reason_by_head("README", b"Photographs of")
    ('', 'not an image (no suffix)')
    """
    if _MAGIC.match(head):
        return ""
    if _HEIF_MAGIC.match(head):
        return "" if reads_heif() else f"HEIC photograph: {_NEEDS_HEIF}"
    return f"not an image ({splitext(name)[1].lower() or 'no suffix'})"


def reads_heif() -> bool:
    """Return whether Pillow can read HEIC files: whether the package pillow-heif is installed, which is registered."""
    from importlib import import_module

    try:
        import_module(_HEIF_READER).register_heif_opener()
    except (ImportError, AttributeError):
        return False
    return True
