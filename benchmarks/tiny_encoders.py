"""Random encoders of one layer, whose states are as wide as those of the default encoders.

What training does beside the encoders' arithmetic depends on these widths, not on the layers.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, ViTImageProcessorPil
from transformers.utils.logging import disable_progress_bar

from jointune.encoders.efficientnet_lite import EfficientNetLiteConfig, EfficientNetLiteModel

PIXELS = 32
"""Height and width of the pictures."""


def save_tiny_encoders(folder: Path) -> dict[str, str]:
    """Write both into ``folder``, and give the arguments that name them to ``JointClassifier``."""
    text, image = folder / "tiny-text", folder / "tiny-image"
    torch.manual_seed(0)
    disable_progress_bar()
    _save_tokenizer(text)
    BertModel(
        BertConfig(vocab_size=8, hidden_size=384, num_hidden_layers=1, num_attention_heads=12, intermediate_size=64)
    ).save_pretrained(text)
    EfficientNetLiteModel(EfficientNetLiteConfig(width=0.1, depth=0.1, image_size=PIXELS)).save_pretrained(image)
    ViTImageProcessorPil(size={"height": PIXELS, "width": PIXELS}).save_pretrained(image)
    return {"text_encoder": str(text), "image_encoder": str(image)}


def _save_tokenizer(folder: Path) -> None:
    """Nearly all words are unknown to it: only their number matters here."""
    vocabulary = {token: index for index, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the"])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=128, **special).save_pretrained(folder)
