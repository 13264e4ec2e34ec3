"""How many cores may be used."""

import os

import pytest

from jointune import cores


@pytest.fixture
def quota(tmp_path, monkeypatch):
    """Write a container's quota: what each file says, by its path."""

    def write(files):
        monkeypatch.setattr(cores, "CGROUP", tmp_path)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: 8)
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text + "\n")

    return write


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": "200000 100000"}, 2),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "20000 100000"}, 1),
        ({"cpu.max": "6400000 100000"}, 8),
        ({"cpu.max": "nonsense"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
    ],
)
def test_a_containers_quota_counts(quota, files, expected):
    quota(files)
    assert cores.available_cores() == expected


def test_threads_are_limited_to_it_unless_the_user_says_otherwise(quota, monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    quota({})
    cores.limit_threads()
    assert os.environ == {}
    quota({"cpu.max": "200000 100000"})
    cores.limit_threads()
    assert os.environ == {"OMP_NUM_THREADS": "2"}
    os.environ["OMP_NUM_THREADS"] = "4"
    cores.limit_threads()
    assert os.environ == {"OMP_NUM_THREADS": "4"}
