"""POST /explain."""

from base64 import b64encode
from dataclasses import replace
from threading import Event, Thread

from helpers.planted import planted


def test_a_post_is_explained(service, red):
    client = service(planted())
    told = client.post("/explain", json={"text": "good sun", "image": b64encode(red).decode()}).json()
    assert told["answer"]["label"] == "positive"
    assert told["sentence"].startswith("Text and image agree")
    words = told["parts"]["text"]
    assert max(words, key=lambda one: one["adds"]["positive"])["word"] == "good"
    assert len(told["parts"]["image"]) == 49
    form = client.post("/explain", files={"text": (None, "sun")}).json()
    assert form["sentence"].startswith("The post has only a text")


def test_one_post_at_a_time_and_no_list(service):
    client = service(planted())
    refused = client.post("/explain", json={"posts": [{"text": "good"}]})
    assert refused.status_code == 422
    assert "one post" in refused.json()["error"]["reason"]
    assert client.post("/explain", json={"text": "  "}).status_code == 422


def test_a_second_request_is_told_to_come_again(service):
    begun, gate, made = Event(), Event(), planted()

    def run(batches, count):
        begun.set()
        assert gate.wait(20)
        return made.probabilities(batches, count)

    gate.set()
    client = service(replace(made, probabilities=run))
    gate.clear()
    begun.clear()
    first = []
    thread = Thread(target=lambda: first.append(client.post("/explain", json={"text": "good"})))
    thread.start()
    try:
        assert begun.wait(20)
        second = client.post("/explain", json={"text": "bad"})
        assert second.status_code == 503
        assert "explained" in second.json()["error"]["reason"]
    finally:
        gate.set()
        thread.join()
    assert first[0].status_code == 200
