"""A batch in smaller ones."""

from collections.abc import Iterator

from jointune.batches.batch import Batch


def parts(batch: Batch, size: int, fixed_length: bool = False) -> Iterator[Batch]:
    """Parts of ``size`` posts at most, in order, each padded to its own longest text.

    Args:
        batch: of posts, without labels.
        size: posts a part.
        fixed_length: whether texts keep the length that they are padded to.
    """
    texts = pictures = 0
    for start in range(0, len(batch.indices), size):
        here = slice(start, start + size)
        present = batch.present[here]
        with_text, with_picture = (int(count) for count in present.sum(0))
        text = pixels = None
        if batch.text is not None and with_text:
            text = {name: values[texts : texts + with_text] for name, values in batch.text.items()}
            if not fixed_length:
                longest = int(text["attention_mask"].sum(1).max())
                text = {name: values[:, :longest] for name, values in text.items()}
        if batch.pixels is not None and with_picture:
            pixels = batch.pixels[pictures : pictures + with_picture]
        yield Batch(batch.indices[here], present, text, pixels)
        texts, pictures = texts + with_text, pictures + with_picture
