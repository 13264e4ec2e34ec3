"""The queue before the model: batches, overload, time limits, clients that hang up."""

import asyncio
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
from PIL import Image

from helpers.made_predictor import make_predictor
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.serve.app import make_app
from jointune.serve.limits import Limits
from jointune.serve.service_metrics import ServiceMetrics
from serve.conftest import file_of, wait_for


def ask(client, **post):
    return client.post("/predict", json=post or {"text": "good"})


def held(gate, sizes, service, **limits):
    """A service whose model waits for ``gate`` once it has warmed up."""
    gate.set()
    client = service(make_predictor(gate=gate, sizes=sizes), **limits)
    gate.clear()
    sizes.clear()
    return client


def test_what_waits_is_one_batch_and_everyone_gets_their_own(service):
    gate, sizes = threading.Event(), []
    client = held(gate, sizes, service, max_batch=8)
    texts = ["good " * (1 + n % 10) for n in range(20)]
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(ask, client, text=text) for text in texts]
        wait_for(lambda: "jointune_waiting_posts 20" in client.get("/metrics").text)
        gate.set()
        together = [answer.result().json() for answer in answers]
    assert sum(sizes) == 20
    assert sizes[0] <= 8
    assert max(sizes) == 8
    for text, answer in zip(texts, together, strict=True):
        assert answer["probabilities"] == pytest.approx(ask(client, text=text).json()["probabilities"], abs=1e-6)


def test_a_batch_waits_for_others_only_if_told_to(service):
    sizes = []
    client = service(make_predictor(sizes=sizes), max_wait=0.3)
    sizes.clear()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: ask(client), range(3)))
    assert sum(sizes) == 3
    assert len(sizes) < 3


def test_overload_is_refused_at_once_and_passes(service):
    gate, sizes = threading.Event(), []
    client = held(gate, sizes, service, queue=64)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, client, posts=[{"text": "good"}] * 60)
        wait_for(lambda: "jointune_waiting_posts 60" in client.get("/metrics").text)
        began = time.monotonic()
        refused = ask(client, posts=[{"text": "good"}] * 5)
        assert time.monotonic() - began < 1
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert "queue is full" in refused.json()["error"]["reason"]
        last = pool.submit(ask, client, posts=[{"text": "good"}] * 4)  # these still fit
        wait_for(lambda: "jointune_waiting_posts 64" in client.get("/metrics").text)
        assert ask(client).status_code == 503
        gate.set()
        assert first.result().status_code == last.result().status_code == 200
    assert ask(client).status_code == 200
    assert "jointune_waiting_posts 0" in client.get("/metrics").text


@dataclass(frozen=True)
class Watched(ImagePreprocessor):
    """Calls a function with each image that is decoded."""

    watch: Callable = lambda _: None

    def prepare(self, image):
        self.watch(image)
        return super().prepare(image)


def watching(watch):
    """A predictor that decodes images as ``watch`` lets it."""
    predictor = make_predictor()
    watched = Watched(predictor.image.size, predictor.image.resize, watch=watch)
    return replace(predictor, preprocessors={"text": predictor.text, "image": watched})


def test_large_pictures_keep_nobody_else_waiting(service, red):
    gate, inside, most = threading.Event(), [], []

    def slow(image):
        if image.width == 50:
            inside.append(image)
            most.append(len(inside))
            assert gate.wait(20)
            inside.pop()

    client = service(watching(slow), decoders=2, large_pixels=40 * 30)
    large = b64encode(file_of(Image.new("RGB", (50, 40)))).decode()
    small = b64encode(red).decode()
    with ThreadPoolExecutor(3) as pool:
        hogs = [pool.submit(ask, client, posts=[{"image": large}] * 6) for _ in range(3)]
        wait_for(lambda: "jointune_waiting_posts 18" in client.get("/metrics").text and inside)
        for post in ({"text": "good"}, {"image": small}, {"posts": [{"text": "good", "image": small}] * 5}):
            assert ask(client, **post).status_code == 200
        gate.set()
        assert {hog.result().status_code for hog in hogs} == {200}
    assert max(most) == 1
    assert len(most) == 18


def test_a_request_of_many_pictures_lets_others_in_between(service):
    order, begun, gate = [], threading.Event(), threading.Event()
    many, one = (file_of(Image.new("RGB", size)) for size in ((21, 21), (23, 23)))

    def slow(image):
        order.append(image.width)
        if image.width == 21:
            begun.set()
            assert gate.wait(20)

    client = service(watching(slow), decoders=1)
    order.clear()  # of what it warmed up with
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, client, posts=[{"image": b64encode(many).decode()}] * 20)
        assert begun.wait(20)
        second = pool.submit(ask, client, image=b64encode(one).decode())
        wait_for(lambda: "jointune_waiting_posts 21" in client.get("/metrics").text)
        assert ask(client).status_code == 200  # by then, the second one's image waits for the decoder
        gate.set()
        assert first.result().status_code == second.result().status_code == 200
    assert order.index(23) < 3


def test_an_answer_that_takes_too_long_is_given_up(service):
    gate, sizes = threading.Event(), []
    client = held(gate, sizes, service, timeout=0.2)
    first = ask(client)
    second = ask(client)  # waits behind the first one, which the model still has
    for response in (first, second):
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert "0.2 s" in response.json()["error"]["reason"]
    gate.set()
    assert ask(client).status_code == 200
    assert sum(sizes) == 2, "what was given up in the queue is never scored"


def test_a_client_that_hangs_up_is_not_worked_for():
    gate, sizes = threading.Event(), []
    gate.set()
    metrics = ServiceMetrics()
    app = make_app(make_predictor(gate=gate, sizes=sizes), Limits(max_batch=1), metrics)
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "raw_path": b"/predict",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "client": None,
        "server": None,
    }

    async def request(gone: asyncio.Event) -> list[dict]:
        sent, messages = [], [{"type": "http.request", "body": b'{"text": "good"}'}]

        async def receive():
            if messages:
                return messages.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        await app({**scope, "state": {}}, receive, send)
        return sent

    async def until(condition):
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.01)

    async def play():
        async with app.router.lifespan_context(app):
            gate.clear()
            sizes.clear()
            gone = asyncio.Event()
            served = asyncio.create_task(request(asyncio.Event()))
            await until(lambda: sizes == [1])
            left = asyncio.create_task(request(gone))
            await until(lambda: "jointune_waiting_posts 2" in metrics.text())
            gone.set()
            assert await asyncio.wait_for(left, 2) == []
            gate.set()
            assert (await served)[0]["status"] == 200
            assert (await request(asyncio.Event()))[0]["status"] == 200
        assert sizes == [1, 1]

    asyncio.run(play())


@pytest.mark.parametrize("limits", [{"queue": 63}, {"max_batch": 0}, {"timeout": -1}])
def test_limits_that_make_no_sense_are_refused(limits):
    from jointune.errors import SettingsError

    with pytest.raises(SettingsError):
        Limits(**limits)
