"""The other routes, the token, and what is documented."""

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256

import pytest

from helpers.made_predictor import make_predictor
from jointune import __version__
from jointune.serve.service_metrics import CELLS, ServiceMetrics
from jointune.targets.single_label import SingleLabel


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
    from jointune.inference.load import load_predictor

    predictor = load_predictor(tiny_bundle)
    told = service(predictor).get("/model").json()
    assert told["card"] == predictor.card
    assert told["about"] == predictor.about


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nope", 404), ("GET", "/predict", 405), ("POST", "/docs", 405)]
)
def test_what_is_not_there_has_the_shape_of_every_error(service, method, path, status):
    response = service().request(method, path)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"reason", "remedy"}
    assert status != 405 or response.headers["allow"] == ("GET" if path == "/docs" else "POST")


def outside(page):
    """What a page would load or lead to that is not of the service."""
    return re.findall(r"(?:src|href|action)=[\"']?(?:\w+:|//)[^\s>]*|url\([^)]*\)|@import|<script", page)


def test_the_first_page_says_which_model_this_is_and_how_to_ask(service):
    predictor = replace(
        make_predictor(),
        target=SingleLabel(["<b>bad</b>", "neutral", "good"]),
        card="---\nx: 1\n---\n# Moods & more\n\n<script>",
    )
    response = service(predictor).get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    page = response.text
    assert "<h1>Moods &amp; more</h1>" in page
    assert "&lt;b&gt;bad&lt;/b&gt;" in page
    assert "-F image=@picture.jpg http://localhost:8000/predict" in page
    assert {"docs", "openapi.json", "model"} <= set(re.findall(r"href=([\w./]+)", page))
    assert not outside(page)


def test_the_page_of_requests_says_what_openapi_does(service):
    client = service()
    page, described = client.get("/docs").text, client.get("/openapi.json").json()
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            part = page.partition(f"<h2><code>{method.upper()} {path}</code></h2>")[2].partition("<h2>")[0]
            assert operation["description"].split("`")[0] in part
            assert re.findall(r"<h4>(\d+)", part) == list(operation["responses"])
    for name in ("text", "image", "image_url", "posts"):
        assert f"<th><code>{name}</code></th>" in page
    assert "&quot;text&quot;: &quot;what a day&quot;" in page
    assert not outside(page)


def test_the_style_of_the_pages_is_the_one_that_the_browser_is_allowed(service):
    response = service().get("/docs")
    style = re.search(r"<style>(.*?)</style>", response.text, re.DOTALL)[1]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in response.headers["content-security-policy"]


def test_the_pages_tell_nothing_of_a_model_behind_a_token(service):
    client = service(token="s3cret")
    for path in ("/", "/docs"):
        response = client.get(path)
        assert response.status_code == 200
        assert "A made model" not in response.text
        assert "s3cret" not in response.text
    assert "Authorization: Bearer $JOINTUNE_TOKEN" in client.get("/").text
    assert "<li>" not in client.get("/").text


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
    processes = [[0.0] * CELLS, [0.0] * CELLS]
    metrics = ServiceMetrics(processes, own=1)
    metrics.count_request("/predict", 200, 0.03)
    metrics.count_request("/predict", 418, 30.0)
    metrics.count_batch(3)
    metrics.count_batch(1000)
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
    other = ServiceMetrics(processes, own=0)
    other.count_request("/predict", 200, 0.03)
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
    assert set(described["paths"]) == {"/predict", "/explain", "/healthz", "/readyz", "/metrics", "/model"}
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
    explain = described["paths"]["/explain"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    for example in explain.values():
        told = client.post("/explain", json=example["value"]).json()
        answers = described["paths"]["/explain"]["post"]["responses"]["200"]["content"]
        assert set(answers["application/json"]["example"]) <= set(told)
    form = predict["requestBody"]["content"]["multipart/form-data"]["example"]
    fields = {name: (None, value) for name, value in form.items()}
    assert client.post("/predict", files=fields).status_code == 200
    assert described["components"]["schemas"]["RequestPosts"]["properties"]["posts"]["maxItems"] == 64


def test_not_ready_before_and_after(service):
    from starlette.testclient import TestClient

    from jointune.serve.app import make_app

    response = TestClient(make_app(make_predictor()), "http://localhost").get(
        "/readyz"
    )  # without the lifespan, which loads and warms up
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
