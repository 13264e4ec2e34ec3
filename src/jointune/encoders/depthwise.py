"""Depthwise convolutions in bfloat16 on a CPU, whose gradients take a fraction of the time that torch's own take."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_BLOCK = 3
"""The side of the largest kernel whose gradient is fast: five by five takes a hundred times as long."""


def speed_up_depthwise(model: nn.Module) -> None:
    """Have the large depthwise convolutions of ``model`` run by ``depthwise_conv2d`` on a CPU, as in ConvNeXt."""
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
    assert not isinstance(module.padding, str), "it was looked at"
    down, right = module.padding
    return depthwise_conv2d(x, module.weight, module.bias, module.stride[0], (right, right, down, down))


def depthwise_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pads: tuple[int, int, int, int]
) -> Tensor:
    """Filter each channel by itself.

    The numbers are those of ``torch.nn.functional.conv2d`` up to rounding, under autocast too. The gradients differ in
    how they are computed, where oneDNN has no fast way: that of a large kernel in blocks of three by three, that of the
    input of a convolution with a stride in float32.

    Args:
        x: float [B, C, H, W].
        weight: float [C, 1, K, K].
        bias: float [C], or None.
        stride: in both directions.
        pads: zeros to the left, right, top and bottom.

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
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = _of_input(gradient, x, weight, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            of_weight = _of_weight(gradient, x, weight, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_x, of_weight, of_bias, None, None


def _of_input(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: tuple[int, int]) -> Tensor:
    if stride == 1:
        return _gradients(gradient, x, weight, stride, padding, (True, False))[0]
    return _gradients(gradient.float(), x.float(), weight.float(), stride, padding, (True, False))[0].to(x.dtype)


def _of_weight(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: tuple[int, int]) -> Tensor:
    kernel = weight.shape[-1]
    if kernel <= _BLOCK:
        return _gradients(gradient, x, weight, stride, padding, (False, True))[1]
    if any(padding):
        x = functional.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    whole, block = torch.empty_like(weight), weight[..., :_BLOCK, :_BLOCK].contiguous()
    reached = [stride * (size - 1) + _BLOCK for size in gradient.shape[2:]]
    for row in _starts(kernel):
        for column in _starts(kernel):
            seen = x[..., row : row + reached[0], column : column + reached[1]]
            seen = seen.contiguous(memory_format=torch.channels_last)
            found = _gradients(gradient, seen, block, stride, (0, 0), (False, True))[1]
            whole[..., row : row + _BLOCK, column : column + _BLOCK] = found
    return whole


def _starts(kernel: int) -> Iterator[int]:
    """Where the blocks that cover a kernel begin."""
    yield from range(0, kernel - _BLOCK + 1, _BLOCK)
    if kernel % _BLOCK:
        yield kernel - _BLOCK


def _gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: tuple[int, int], wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [stride] * 2, padding, [1, 1], False, [0, 0], len(weight), [*wanted, False]
    )
    return of_x, of_weight
