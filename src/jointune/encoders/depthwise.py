"""Depthwise convolutions whose gradients, in bfloat16 on a CPU, take a fraction of the time of torch's own."""

from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_BLOCK = 3
"""The largest kernel whose gradient oneDNN computes fast; one of five by five takes a hundred times as long."""


def speed_up_depthwise(model: nn.Module) -> None:
    """Run the large depthwise convolutions of ``model``, as in ConvNeXt, by ``depthwise_conv2d`` on a CPU."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and _is_large_depthwise(module):
            module.forward = partial(_forward, module)  # type: ignore[method-assign]


def _is_large_depthwise(module: nn.Conv2d) -> bool:
    (kernel, width), (stride, across) = module.kernel_size, module.stride
    return (
        type(module).forward is nn.Conv2d.forward
        and module.groups == module.in_channels == module.out_channels
        and kernel == width > _BLOCK
        and stride == across
        and module.dilation == (1, 1)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )


def _forward(module: nn.Conv2d, x: Tensor) -> Tensor:
    if x.device.type != "cpu" or x.dim() != 4:
        return nn.Conv2d.forward(module, x)
    assert not isinstance(module.padding, str), "see _is_large_depthwise"
    down, right = module.padding
    return depthwise_conv2d(x, module.weight, module.bias, module.stride[0], (right, right, down, down))


def depthwise_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pads: tuple[int, int, int, int]
) -> Tensor:
    """Filter each channel by itself.

    Results and gradients are those of ``torch.nn.functional.conv2d`` up to rounding, under autocast too. If oneDNN has
    no fast way, the gradient of a large kernel is computed in blocks of three by three, and that of the input of a
    convolution with a stride in float32.

    Args:
        x: float [B, C, H, W].
        weight: float [C, 1, K, K].
        bias: float [C], or None.
        stride: in both directions.
        pads: zeros added at the left, right, top and bottom.

    Returns:
        float [B, C, H', W'].
    """
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    left, right, top, bottom = pads
    padding = (top, left)
    if (left, top) != (right, bottom):
        x, padding = functional.pad(x, pads), (0, 0)
    if x.dtype == torch.bfloat16 and torch.is_grad_enabled():
        output: Tensor = _Depthwise.apply(x, weight, bias, stride, padding)
        return output
    return functional.conv2d(x, weight, bias, stride, padding, groups=len(weight))


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(x, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        inputs, (of_x, of_weight, of_bias, *_) = (gradient, x, weight, ctx.stride, ctx.padding), ctx.needs_input_grad
        return (
            _input_gradient(*inputs) if of_x else None,
            _weight_gradient(*inputs) if of_weight else None,
            gradient.sum((0, 2, 3)) if of_bias else None,
            None,
            None,
        )


def _input_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: tuple[int, int]) -> Tensor:
    if stride == 1:
        return _gradients(gradient, x, weight, stride, padding, (True, False))[0]
    return _gradients(gradient.float(), x.float(), weight.float(), stride, padding, (True, False))[0].to(x.dtype)


def _weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: tuple[int, int]) -> Tensor:
    kernel = weight.shape[-1]
    if kernel <= _BLOCK:
        return _gradients(gradient, x, weight, stride, padding, (False, True))[1]
    if any(padding):
        x = functional.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    whole, block = torch.empty_like(weight), weight[..., :_BLOCK, :_BLOCK].contiguous()
    height, width = (stride * (size - 1) + _BLOCK for size in gradient.shape[2:])
    starts = sorted({*range(0, kernel - _BLOCK + 1, _BLOCK), kernel - _BLOCK})
    for row, column in product(starts, starts):
        window = x[..., row : row + height, column : column + width].contiguous(memory_format=torch.channels_last)
        whole[..., row : row + _BLOCK, column : column + _BLOCK] = _gradients(
            gradient, window, block, stride, (0, 0), (False, True)
        )[1]
    return whole


def _gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: tuple[int, int], wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    input_gradient, weight_gradient, _ = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [stride] * 2, padding, [1, 1], False, [0, 0], len(weight), [*wanted, False]
    )
    return input_gradient, weight_gradient
