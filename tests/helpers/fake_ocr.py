"""An OCR that takes no time: it reads what the tests say a picture holds."""

import sys
import threading
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType

from PIL import Image

from jointune.modalities.image import ocr


class FakeOcr:
    """Stands in for ``ocr.load_ocr``; counts what it is asked."""

    def __init__(self, read: Callable[[Image.Image], str], version: str = "fake 1") -> None:
        self.read, self.version = read, version
        self.pictures = 0
        self._lock = threading.Lock()

    def load(self) -> ocr.Ocr:
        return ocr.Ocr(self.version, lambda: self._read)

    def _read(self, picture: Image.Image) -> str:
        with self._lock:
            self.pictures += 1
        return self.read(picture)


def install(monkeypatch, cache, read: Callable[[Image.Image], str], version: str = "fake 1") -> FakeOcr:
    """Make ``read`` the OCR, with its cache in the folder ``cache``."""
    fake = FakeOcr(read, version)
    package = ModuleType("rapidocr_onnxruntime")  # settings are refused where it is not installed
    package.__spec__ = ModuleSpec(package.__name__, None)
    monkeypatch.setitem(sys.modules, package.__name__, package)
    # The OCR is an extra with weights of its own.
    monkeypatch.setattr(ocr, "load_ocr", fake.load)
    monkeypatch.setenv("JOINTUNE_CACHE", str(cache))
    return fake
