"""The page of ``jointune ui`` for tests; import it after ``pytest.importorskip("gradio")``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from jointune.ui.launch import gradio_folder, make_app

LEAVES_OPEN = [  # gradio leaves sockets and event loops open
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@contextmanager
def shown_page(predictor: Any, folder: Path, **arguments: Any) -> Iterator[TestClient]:
    """Ask the page of a model; ``arguments`` are those of ``make_app``."""
    with gradio_folder(folder), TestClient(make_app(predictor, folder, **arguments), "http://localhost:7860") as client:
        yield client
