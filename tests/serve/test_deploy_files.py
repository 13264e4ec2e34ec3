"""deploy/: what a container needs to be safe, as far as it can be read off its files."""

import re
from pathlib import Path

import pytest

from jointune.serve.limits import Limits

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def instructions() -> list[tuple[str, str]]:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in whole.splitlines()]


def test_the_dockerfile():
    found = instructions()
    images = [what for name, what in found if name == "FROM"]
    assert all(re.match(r"python:3\.\d+-slim-\w+( AS \w+)?$", image) for image in images)
    assert not [name for name, _ in found if name == "ADD"]
    last = [name for name, _ in found].index("FROM", 1)
    final = dict(found[last:])
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", final["USER"])
    assert "/readyz" in final["HEALTHCHECK"]
    assert final["ENTRYPOINT"] == '["jointune", "serve"]'
    assert final["STOPSIGNAL"] == "SIGTERM"
    everything = " ".join(what for _, what in found)
    assert "http" not in everything.replace("http://127.0.0.1:8000/readyz", "")
    assert not re.search(r"(?i)token|password|secret", everything)
    for name, what in found:
        if name == "COPY" and not what.startswith("--from"):
            *sources, _ = what.split()
            ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8")
            for source in sources:
                assert (ROOT / source).exists()
                assert f"!{source}\n" in ignored


def test_the_extra_and_the_options_exist():
    import tomllib

    from jointune.cli.serve import serve

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    found = instructions()
    assert '".[$EXTRAS]"' in " ".join(what for name, what in found if name == "RUN")
    assert ("ARG", "EXTRAS=serve") in found[: [name for name, _ in found].index("FROM")]
    told = re.findall(r"EXTRAS=([\w,]+)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    assert {name for one in told for name in one.split(",")} <= set(extras)
    options = set(re.findall(r"--([a-z-]+)", dict(instructions())["CMD"]))
    assert {option.replace("-", "_") for option in options} <= set(serve.__annotations__)
    assert "allowed-host" in options


def test_the_compose_file():
    yaml = pytest.importorskip("yaml")
    composed = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    service = composed["services"]["jointune"]
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert service["build"]["args"] == {"EXTRAS": "${EXTRAS:-serve}"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["user"] == dict(instructions())["USER"]
    assert all(volume.endswith(":ro") for volume in service["volumes"])
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert int(service["stop_grace_period"].removesuffix("s")) >= Limits().grace + 4
    assert set(service["secrets"]) == set(composed["secrets"])
    told = {option.partition("=")[0] for option in service["command"]}
    assert {"--token-file", "--allowed-host"} <= told
