"""deploy/: the files for clusters name commands and options that exist, and agree with each other."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from jointune.cli.app import app

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def pods(value) -> list[dict]:
    """All pod templates within a value."""
    if isinstance(value, list):
        return [pod for one in value for pod in pods(one)]
    if not isinstance(value, dict):
        return []
    own = [value["template"]["spec"]] if "template" in value else []
    return own + [pod for one in value.values() for pod in pods(one)]


@pytest.mark.parametrize("name", ["ray-job.yaml", "ray-cluster.yaml", "kubernetes-job.yaml"])
def test_a_manifest(name):
    text = (DEPLOY / name).read_text(encoding="utf-8")
    manifest = yaml.safe_load(text)
    found = pods(manifest)
    assert found
    for pod in found:
        assert pod["securityContext"]["runAsNonRoot"] is True
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert container["image"] == "jointune-ray"
            assert container["resources"]["limits"]["memory"]
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    commands = re.findall(r"jointune ([a-z]+ [^\n]*--\w[^\n]*)", text)
    commands += [
        " ".join(map(str, one["command"][1:])) for pod in found for one in pod["containers"] if "command" in one
    ]
    assert commands
    group = typer.main.get_command(app)
    for words in map(shlex.split, commands):
        known = {option for one in group.commands[words[0]].params for option in one.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_the_image_has_the_ray_of_the_manifests():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    told = re.findall(r"EXTRAS=([\w,]+)", (DEPLOY / "ray.Dockerfile").read_text(encoding="utf-8"))
    assert {name for one in told for name in one.split(",")} <= set(extras)
    version = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
    for name in ("ray-job.yaml", "ray-cluster.yaml"):
        assert f'rayVersion: "{version}"' in (DEPLOY / name).read_text(encoding="utf-8")
    for source in re.findall(r"^COPY (.+) \S+$", (DEPLOY / "ray.Dockerfile").read_text(), re.MULTILINE):
        ignored = (DEPLOY / "ray.Dockerfile.dockerignore").read_text(encoding="utf-8")
        assert all(f"!{one}\n" in ignored and (ROOT / one).exists() for one in source.split())
