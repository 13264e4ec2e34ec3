"""How many cores may be used, and how threads wait."""

import ast
import os
import subprocess
import sys

import pytest

from jointune.utils import threads


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
def test_a_containers_quota_counts(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert threads.available_cores(tmp_path, visible=8) == expected


def test_threads_are_limited_to_it_unless_the_user_says_otherwise():
    environment = dict(threads.WAITING)
    threads.set_up_threads(environment, os.cpu_count())
    assert environment == threads.WAITING
    if os.cpu_count() > 1:
        threads.set_up_threads(environment, 1)
        assert environment == threads.WAITING | {"OMP_NUM_THREADS": "1"}
    environment["OMP_NUM_THREADS"] = "4"
    threads.set_up_threads(environment, 1)
    assert environment == threads.WAITING | {"OMP_NUM_THREADS": "4"}


WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


@pytest.fixture
def environment_of():
    """What the environment says of waiting after some Python code has run in a process of its own."""

    def run(code, **variables):
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
        command = [
            sys.executable,
            "-c",
            f"{code}\nimport os\nprint({{name: os.environ.get(name) for name in {WAITING}}})",
        ]
        done = subprocess.run(command, env=plain | variables, capture_output=True, text=True, check=True)
        return ast.literal_eval(done.stdout.splitlines()[-1])

    return run


COMMAND = """
import sys
from jointune.cli.app import main
sys.argv = ["jointune", "--version"]
try:
    main()
except SystemExit:
    pass
"""


def test_the_command_line_has_threads_spin_shortly(environment_of):
    assert environment_of(COMMAND) == {"OMP_WAIT_POLICY": None} | threads.WAITING


@pytest.mark.parametrize(
    "chosen", [{"OMP_WAIT_POLICY": "passive"}, {"GOMP_SPINCOUNT": "7"}, {"KMP_BLOCKTIME": "infinite"}]
)
def test_what_the_user_says_of_waiting_holds(environment_of, chosen):
    assert environment_of(COMMAND, **chosen) == dict.fromkeys(WAITING) | chosen


def test_the_library_leaves_the_environment_alone(environment_of):
    assert environment_of("from jointune import JointClassifier, compare, tune") == dict.fromkeys(WAITING)
