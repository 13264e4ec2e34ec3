"""Names of labels are found in what was read in images."""

from jointune import Post, Posts
from jointune.audit.named_labels import named_labels


def read(text, label, image=b"an image"):
    return Post("a text", image, label, image_text=text)


def test_labels_are_found_in_their_own_posts_and_in_others():
    posts = Posts(
        [
            read("SoPositive", "positive"),
            read("nothing", "positive"),
            read("positive\nthinking", "no"),
            read("no way", "no"),
            read("nowhere", "no"),
            read("", "no"),
            Post("positive", None, "positive"),
        ]
    )
    no, positive = sorted(named_labels(posts, ["positive", "no", "other"]), key=lambda one: one.label)
    assert (positive.label, positive.own, positive.of_own) == ("positive", [0], 2)
    assert (positive.others, positive.of_others) == ([2], 4)
    assert (no.own, no.of_own, no.others, no.of_others) == ([3], 4, [], 2)


def test_the_label_that_most_of_its_images_name_comes_first():
    posts = Posts([read("hateful", "hateful"), read("kind", "kind"), read("lovely", "kind")])
    assert [one.label for one in named_labels(posts, ["kind", "hateful"])] == ["hateful", "kind"]
    assert named_labels(posts[:0], ["kind"]) == []
