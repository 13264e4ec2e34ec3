def test_main_job(posts_csv, tiny_bundle, jointune, tmp_path):
    code, said = jointune("evaluate", tiny_bundle, posts_csv, "--out", tmp_path / "m.json")
    assert code == 0, said
    code, said = jointune("predict", tiny_bundle, posts_csv, "--out", tmp_path / "m.parquet")
    assert code == 0, said
