"""Pre-trained encoders of any family behind one contract: inputs in, ``EncoderOutput`` out."""

from jointune.utils.extras import do_without_broken_torchvision

do_without_broken_torchvision()  # before any module here imports transformers
