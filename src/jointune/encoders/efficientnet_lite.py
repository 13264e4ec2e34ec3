"""EfficientNet-Lite (Google, 2020): EfficientNet (arXiv 1905.11946) without squeeze-and-excitation, with ReLU6.

transformers does not have this architecture, which two built-in encoders are of. Registered with ``AutoModel``, it is
like any other Hugging Face model.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from jointune.encoders.depthwise import depthwise_conv2d

# repeats, kernel, stride, expansion, output channels: table 1 of the paper
_STAGES = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]


class EfficientNetLiteConfig(PretrainedConfig):
    """The width and depth multipliers and the image size of an EfficientNet-Lite."""

    model_type = "efficientnet_lite"

    def __init__(self, width: float = 1.0, depth: float = 1.0, image_size: int = 224, **kwargs: object) -> None:
        self.width = width
        self.depth = depth
        self.image_size = image_size
        self.hidden_size = 1280
        super().__init__(**kwargs)


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's ``SAME``: more at the end than at the start where the sum is odd."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [B, C, H, W] to [B, C', ceil(H / stride), ceil(W / stride)]."""
        pads = self._pads(x)
        if self.groups > 1 and x.device.type == "cpu":
            return depthwise_conv2d(x, self.weight, _bias(self), self.stride[0], pads)
        left, right, top, bottom = pads
        if left == right and top == bottom:
            return functional.conv2d(x, self.weight, self.bias, self.stride, (top, left), groups=self.groups)
        return super().forward(functional.pad(x, pads))

    def _pads(self, x: Tensor) -> tuple[int, int, int, int]:
        (top, bottom), (left, right) = (
            (total // 2, total - total // 2)
            for size, kernel, stride in zip(x.shape[-2:], self.kernel_size, self.stride, strict=True)
            for total in [max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)]
        )
        return left, right, top, bottom


class InvertedResidual(nn.Module):
    """Expand, filter each channel by itself, project; added to the input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        expand = [SameConv(inputs, middle, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        depthwise = [SameConv(middle, middle, kernel, stride, groups=middle), nn.ReLU6(inplace=True)]
        self.layers = nn.Sequential(*expand, *depthwise, SameConv(middle, outputs, 1))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Turn [B, C, H, W] into [B, C', H / stride, W / stride]."""
        y = self.layers(x)
        return x + y if self.residual else y


class EfficientNetLiteModel(PreTrainedModel):
    """The convolutional trunk, up to the 1,280-channel head; its batch normalisation is folded away."""

    config_class = EfficientNetLiteConfig
    main_input_name = "pixel_values"

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__(config)
        self.stem = nn.Sequential(SameConv(3, 32, 3, 2), nn.ReLU6(inplace=True))
        blocks: list[nn.Module] = []
        inputs = 32
        for index, (repeats, kernel, stride, expansion, channels) in enumerate(_STAGES):
            outputs = _round_channels(channels * config.width)
            # The Lite models keep their first and last stage at one block whatever the depth.
            if index not in (0, len(_STAGES) - 1):
                repeats = math.ceil(repeats * config.depth)
            for repeat in range(repeats):
                blocks.append(InvertedResidual(inputs, outputs, kernel, stride if repeat == 0 else 1, expansion))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(SameConv(inputs, config.hidden_size, 1), nn.ReLU6(inplace=True))
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, pixel_values: Tensor) -> BaseModelOutputWithPooling:
        """Turn images in -1 to 1, float [B, 3, H, W], into states [B, 1280, H/32, W/32] and their mean."""
        states = self.head(self.blocks(self.stem(pixel_values)))
        return BaseModelOutputWithPooling(last_hidden_state=states, pooler_output=states.mean((2, 3)))

    def load_package_weights(self, weights: dict[str, Tensor]) -> None:
        """Copy the weights of the published PyTorch port, which lists the same convolutions in the same order.

        There, each is followed by batch normalisation. With fixed statistics, as fine-tuning on small batches needs
        them, this is a scale and a shift of each channel, which are folded into the convolution.

        Raises:
            ValueError: a tensor is missing or has another shape.
        """
        source = [v for k, v in weights.items() if not k.endswith("num_batches_tracked") and not k.startswith("_fc.")]
        convolutions = [module for module in self.modules() if isinstance(module, SameConv)]
        with torch.no_grad():
            for convolution, start in zip(convolutions, range(0, len(source), 5), strict=True):
                weight, scale, shift, mean, variance = source[start : start + 5]
                if weight.shape != convolution.weight.shape:
                    raise ValueError(f"shape {tuple(weight.shape)} where {tuple(convolution.weight.shape)} is needed")
                scale = scale / (variance + 1e-3).sqrt()
                convolution.weight.copy_(weight * scale[:, None, None, None])
                _bias(convolution).copy_(shift - mean * scale)


def _bias(convolution: SameConv) -> Tensor:
    assert convolution.bias is not None, "every convolution here has one"
    return convolution.bias


def _round_channels(channels: float, divisor: int = 8) -> int:
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor
