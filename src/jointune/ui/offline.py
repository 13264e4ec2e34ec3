"""Gradio, kept at home."""

import os
from pathlib import Path

from jointune.utils.extras import require


def load_gradio(folder: Path) -> None:
    """Import gradio so that it reports nothing to anybody. To be called before any other module imports it.

    Args:
        folder: takes what people upload.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # read when it is imported
    require("gradio", "ui", "jointune ui")
