"""The page of ``jointune ui`` for tests; import it after ``pytest.importorskip("gradio")``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from jointune.ui.offline import load_gradio

LEAVES_OPEN = [  # gradio leaves sockets and event loops open
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@contextmanager
def shown_page(predictor: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> Iterator[TestClient]:
    """Ask the page of a model; ``arguments`` are those of ``make_app``."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # so that it is restored
    load_gradio(folder)
    from jointune.ui.launch import make_app

    with TestClient(make_app(predictor, folder, **arguments), "http://localhost:7860") as client:
        yield client
