"""As many posts of one label as of any other."""

import random
from collections import defaultdict
from collections.abc import Sequence

from jointune.posts.post import Post


def balance(posts: Sequence[Post], seed: int) -> list[Post]:
    """Draw from each label as many posts as the rarest one has, within each split.

    Args:
        posts: the posts; those without a label are all kept.
        seed: of the draw.

    Returns:
        The posts drawn, in their order.
    """
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    kept = {index for index, post in enumerate(posts) if post.label is None}
    for index, post in enumerate(posts):
        if post.label is not None:
            groups[post.split or ""][post.label].append(index)
    drawing = random.Random(seed)
    for _, labels in sorted(groups.items()):
        rarest = min(map(len, labels.values()))
        for _, members in sorted(labels.items()):
            kept.update(drawing.sample(members, rarest))
    return [posts[index] for index in sorted(kept)]
