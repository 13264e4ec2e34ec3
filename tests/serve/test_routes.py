"""The other routes, the token, and what is documented."""

import re

import pytest

from jointune import __version__
from jointune.serve.metrics import CELLS, Metrics
from serve.made_scorer import make_scorer


def test_health(service):
    client = service()
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_the_model_tells_of_itself(service):
    told = service().get("/model").json()
    assert told["labels"] == ["negative", "neutral", "positive"]
    assert told["versions"]["jointune"] == __version__
    assert told["about"] == {"made": True}
    assert told["card"] == "# A made model"


def test_a_bundle_tells_of_itself(service, tiny_bundle):
    from jointune.load import load_scorer

    scorer = load_scorer(tiny_bundle)
    told = service(scorer).get("/model").json()
    assert told["card"] == scorer.card
    assert told["about"] == scorer.about


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nope", 404), ("GET", "/predict", 405), ("GET", "/docs", 404)]
)
def test_what_is_not_there_has_the_shape_of_every_error(service, method, path, status):
    response = service().request(method, path)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"reason", "remedy"}
    assert status != 405 or response.headers["allow"] == "POST"


def number(text: str, series: str) -> float:
    return float(re.search(rf"^{re.escape(series)} (.+)$", text, re.MULTILINE)[1])


def test_the_metrics_count(service):
    client = service()
    before = client.get("/metrics").text
    assert number(before, "jointune_batch_posts_count") == 3  # it warmed up
    client.post("/predict", json={"posts": [{"text": "good"}] * 5})
    client.post("/predict", json={})
    client.get("/nope")
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = response.text
    assert number(text, 'jointune_requests_total{route="/predict",status="200"}') == 1
    assert number(text, 'jointune_requests_total{route="/predict",status="422"}') == 1
    assert number(text, 'jointune_requests_total{route="other",status="404"}') == 1
    assert number(text, "jointune_request_seconds_count") == 2
    assert number(text, 'jointune_request_seconds_bucket{le="+Inf"}') == 2
    assert number(text, "jointune_batch_posts_sum") == 8
    assert number(text, "jointune_waiting_posts") == 0


def test_the_metrics_are_what_prometheus_reads():
    metrics = Metrics([[0.0] * CELLS, [0.0] * CELLS], own=1)
    metrics.request("/predict", 200, 0.03)
    metrics.request("/predict", 418, 30.0)
    metrics.batch(3)
    metrics.batch(1000)
    text = metrics.text()
    for line in text.splitlines():
        assert re.fullmatch(
            r"# (HELP \w+ .+|TYPE \w+ (counter|histogram|gauge))|\w+(\{(\w+=\"[^\"]+\",?)+\})? [\d.]+", line
        ), line
    named = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(named) == len(set(named)) == 4
    buckets = [
        number(text, f'jointune_request_seconds_bucket{{le="{le}"}}') for le in ("0.025", "0.05", "10.0", "+Inf")
    ]
    assert buckets == [0, 1, 1, 2]
    assert number(text, "jointune_batch_posts_sum") == 1003
    other = Metrics(metrics._processes, own=0)
    other.request("/predict", 200, 0.03)
    assert number(metrics.text(), 'jointune_requests_total{route="/predict",status="200"}') == 2


def test_the_token_is_asked_for(service):
    client = service(token="s3cret")
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "s3cret"},
        {"Authorization": "Basic s3cret"},
        {"Authorization": "Bearer S3CRET"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer s3cret s3cret"},
        {"Authorization": b"Bearer s\xe9"},
    ):
        for method, path in (("POST", "/predict"), ("GET", "/model"), ("GET", "/metrics"), ("GET", "/openapi.json")):
            response = client.request(method, path, headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert set(response.json()["error"]) == {"reason", "remedy"}
    assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
    for scheme in ("Bearer", "bearer", "BEARER"):
        right = {"Authorization": f"{scheme} s3cret"}
        assert client.post("/predict", json={"text": "good"}, headers=right).status_code == 200


def test_the_description_is_true(service):
    client = service()
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/predict", "/healthz", "/readyz", "/metrics", "/model"}
    predict = described["paths"]["/predict"]["post"]
    assert {"200", "400", "401", "408", "413", "415", "422", "503"} == set(predict["responses"])
    for path in described["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                content = next(iter(response["content"].values()))
                assert "example" in content or "examples" in content, (path, status)
    references = set(re.findall(r"#/components/schemas/(\w+)", str(described)))
    assert references <= set(described["components"]["schemas"])
    examples = predict["requestBody"]["content"]["application/json"]["examples"]
    for example in examples.values():
        assert client.post("/predict", json=example["value"]).status_code == 200
    form = predict["requestBody"]["content"]["multipart/form-data"]["example"]
    fields = {name: (None, value) for name, value in form.items()}
    assert client.post("/predict", files=fields).status_code == 200
    assert described["components"]["schemas"]["GivenPosts"]["properties"]["posts"]["maxItems"] == 64


def test_not_ready_before_and_after(service):
    from starlette.testclient import TestClient

    from jointune.serve.app import make_app

    response = TestClient(make_app(make_scorer())).get("/readyz")  # without the lifespan, which loads and warms up
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
