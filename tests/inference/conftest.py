from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def exported_model(tiny_bundle, posts_csv, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tiny_bundle`` exported; read only."""
    from jointune import JointClassifier, read_posts
    from jointune.export.exporter import export

    folder = tmp_path_factory.mktemp("exports") / "tiny"
    export(JointClassifier.load(tiny_bundle, device="cpu"), folder, posts=read_posts(posts_csv))
    return folder
