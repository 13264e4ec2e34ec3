"""Pictures are decoded by several threads, in order, and take no more memory than there is room for."""

import threading
import time
import warnings

import numpy as np
from PIL import Image

from jointune.data.post import Post
from jointune.modalities.image.decode import decode_posts
from jointune.modalities.image.open import open_image


def prepared(_: Image.Image) -> np.ndarray:
    return np.zeros(1)


def test_posts_come_back_in_order_whatever_takes_long():
    def slow(picture: Image.Image) -> np.ndarray:
        time.sleep(picture.width / 2000)
        return np.array(picture.width)

    widths = [9, 1, 1, 8, 1, 5, 1, 1, 1, 7] * 5
    posts = [Post("a", Image.new("RGB", (width, 1))) for width in widths]
    assert [int(pixels) for _, (pixels,), _ in decode_posts(posts, slow, workers=4)] == widths


def test_large_pictures_are_decoded_one_at_a_time_and_small_ones_together():
    lock, inside, seen = threading.Lock(), [], []

    def watched(picture: Image.Image) -> np.ndarray:
        with lock:
            inside.append(picture.width)
            seen.append(list(inside))
        time.sleep(0.005)
        with lock:
            inside.remove(picture.width)
        return np.zeros(1)

    posts = [Post("a", Image.new("RGB", (width, 1))) for width in [10, 10, 10, 60, 60, 200, 10, 10, 60, 200] * 4]
    assert len(list(decode_posts(posts, watched, workers=3, most_pixels=100))) == 40
    assert max(map(len, seen)) > 1
    assert all(len(together) <= 3 for together in seen)
    assert all(sum(together) <= 100 or len(together) == 1 for together in seen)


def test_rows_that_hold_pictures_are_not_read_far_ahead():
    read = []

    def rows(size: int):
        for number in range(100):
            read.append(number)
            yield Post("a" * size)

    next(decode_posts(rows(1), prepared, workers=2, most_waiting=1000))
    few = len(read)
    read.clear()
    next(decode_posts(rows(300), prepared, workers=2, most_waiting=1000))
    assert len(read) == 4
    assert few > 8
    read.clear()
    next(decode_posts(rows(5000), prepared, workers=2, most_waiting=1000))
    assert len(read) == 2


def test_threads_leave_the_filters_of_warnings_alone():
    """They belong to the process: whoever restores them last would bring back what another thread had set."""
    before = list(warnings.filters)
    inside, other_inside, left = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        open_image(Image.new("RGB", (1, 1)), admit=lambda _: (inside.set(), other_inside.wait(10)))
        left.set()

    def second() -> None:
        inside.wait(10)
        open_image(Image.new("RGB", (1, 1)), admit=lambda _: (other_inside.set(), left.wait(10)))

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert left.is_set()
    assert list(warnings.filters) == before
