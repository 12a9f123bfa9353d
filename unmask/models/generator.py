"""The StyleGAN2 generator (Karras et al. 2020): mapping network and skip-RGB synthesis, 64 to 1024 px."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..ops import bias_act, setup_filter, upfirdn2d
from .layers import TAPS, Linear, ModulatedConv, normalize_2nd_moment

Skips = Mapping[int, Tensor]


def channels_at(resolution: int, base: int = 16384, most: int = 512) -> int:
    """Channels of the paper's configuration at one resolution: ``min(base / resolution, most)``."""
    return min(base // resolution, most)


class MappingNetwork(nn.Module):
    """z [N,z_dim] -> w [N,w_dim]: normalized input, fully connected layers with a 100 times smaller learning rate."""

    def __init__(self, z_dim: int, w_dim: int, layers: int = 8, lr_mult: float = 0.01) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Linear(z_dim if i == 0 else w_dim, w_dim, act="lrelu", lr_mult=lr_mult) for i in range(layers)
        )

    def forward(self, z: Tensor) -> Tensor:
        """Map latents to styles."""
        x = normalize_2nd_moment(z)
        for layer in self.layers:
            x = layer(x)
        return x


class SynthesisLayer(nn.Module):
    """Modulated convolution, noise, bias, leaky ReLU."""

    noise_const: Tensor

    def __init__(
        self, inputs: int, outputs: int, w_dim: int, resolution: int, up: bool, conv_clamp: float | None = None
    ) -> None:
        super().__init__()
        self.conv, self.conv_clamp = ModulatedConv(inputs, outputs, w_dim, up=up), conv_clamp
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))

    def forward(self, x: Tensor, w: Tensor, noise: str = "const") -> Tensor:
        """x [N,inputs,H,W], w [N,w_dim] -> [N,outputs,H,W] or twice the size."""
        y = self.conv(x, w)
        if noise == "random":
            drawn = torch.randn(y.shape[0], 1, *y.shape[2:], device=y.device, dtype=y.dtype)
            y = y + drawn * self.noise_strength.to(y.dtype)
        elif noise == "const":
            y = y + (self.noise_const * self.noise_strength).to(y.dtype)
        clamp = self.conv_clamp
        if clamp is None and y.dtype == torch.float16:
            clamp = 256.0  # only half precision can overflow here
        return bias_act(y, self.bias.to(y.dtype), act="lrelu", clamp=clamp)


class ToRGB(nn.Module):
    """1x1 modulated convolution to RGB, without demodulation."""

    def __init__(self, inputs: int, w_dim: int, conv_clamp: float | None = None) -> None:
        super().__init__()
        self.conv, self.conv_clamp = ModulatedConv(inputs, 3, w_dim, kernel=1, demodulate=False), conv_clamp
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """[N,inputs,H,W] -> [N,3,H,W]."""
        y: Tensor = self.conv(x, w).float() + self.bias[None, :, None, None]
        return y if self.conv_clamp is None else y.clamp(-self.conv_clamp, self.conv_clamp)


class Synthesis(nn.Module):
    """Styles to picture: a learned constant, two layers a resolution, RGB summed over resolutions.

    Args:
        w_dim: length of a style vector.
        img_resolution: side of the picture, a power of two from 8.
        channels: channels at 4, 8, ... img_resolution; None takes the paper's.
        conv_clamp: what every layer's output is clamped to, as StyleGAN2-ADA's networks were trained; None: nothing.
    """

    taps: Tensor

    def __init__(
        self, w_dim: int, img_resolution: int, channels: Sequence[int] | None = None, conv_clamp: float | None = None
    ) -> None:
        super().__init__()
        levels = int(math.log2(img_resolution)) - 1
        if 2 ** (levels + 1) != img_resolution or levels < 2:
            raise ValueError(f"img_resolution is {img_resolution}; it is a power of two from 8")
        self.resolutions = [4 * 2**i for i in range(levels)]
        widths = list(channels) if channels else [channels_at(r) for r in self.resolutions]
        if len(widths) != levels:
            raise ValueError(f"channels has {len(widths)} entries; {img_resolution} px takes {levels}")
        self.channels = dict(zip(self.resolutions, widths, strict=True))
        self.num_ws, self.w_dim, self.img_resolution = 2 * levels, w_dim, img_resolution
        self.const = nn.Parameter(torch.randn(widths[0], 4, 4))
        self.conv0, self.conv1, self.rgb = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for i, r in enumerate(self.resolutions):
            if i:
                self.conv0.append(SynthesisLayer(widths[i - 1], widths[i], w_dim, r, True, conv_clamp))
            self.conv1.append(SynthesisLayer(widths[i], widths[i], w_dim, r, False, conv_clamp))
            self.rgb.append(ToRGB(widths[i], w_dim, conv_clamp))
        self.register_buffer("taps", setup_filter(TAPS), persistent=False)

    def forward(self, ws: Tensor, noise: str = "const", skips: Skips | None = None) -> Tensor:
        """ws [N,num_ws,w_dim] -> [N,3,S,S] about [-1,1].

        Args:
            noise: ``"const"`` (the stored noise), ``"random"`` or ``"none"``.
            skips: features [N,C_r,r,r] to add at resolution ``r``, after its first layer.
        """
        x = self.const[None].expand(ws.shape[0], -1, -1, -1).contiguous(memory_format=torch.channels_last)
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        image: Tensor | None = None
        index = 0
        for i, r in enumerate(self.resolutions):
            if i:
                x = self.conv0[i - 1](x, ws[:, index], noise)
                index += 1
            if skips is not None and r in skips:
                x = x + skips[r].to(x.dtype)
            x = self.conv1[i](x, ws[:, index], noise)
            index += 1
            rgb = self.rgb[i](x, ws[:, index])
            image = rgb if image is None else upfirdn2d(image, self.taps, up=2, padding=(2, 1, 2, 1), gain=4.0) + rgb
        assert image is not None
        return image


class Generator(nn.Module):
    """Mapping and synthesis with the running mean style ``w_avg`` for truncation.

    Args:
        z_dim, w_dim: lengths of latent and style.
        img_resolution: side of the picture.
        channels, conv_clamp: see :class:`Synthesis`.
        mapping_layers: fully connected layers from z to w.
        w_avg_rows: mean styles that ``w_avg`` has, one a layer from the first on (pSp and e4e keep it so); 0 is one
            for all, [w_dim].
    """

    w_avg: Tensor

    def __init__(
        self,
        z_dim: int = 512,
        w_dim: int = 512,
        img_resolution: int = 256,
        channels: Sequence[int] | None = None,
        mapping_layers: int = 8,
        conv_clamp: float | None = None,
        w_avg_rows: int = 0,
    ) -> None:
        super().__init__()
        self.z_dim, self.w_dim, self.img_resolution = z_dim, w_dim, img_resolution
        self.mapping = MappingNetwork(z_dim, w_dim, mapping_layers)
        self.synthesis = Synthesis(w_dim, img_resolution, channels, conv_clamp)
        self.num_ws = self.synthesis.num_ws
        if 0 < w_avg_rows < self.num_ws:
            raise ValueError(f"w_avg_rows is {w_avg_rows}; {img_resolution} px takes {self.num_ws}")
        self.register_buffer("w_avg", torch.zeros((w_avg_rows, w_dim) if w_avg_rows else w_dim))

    def styles(self, z: Tensor, truncation_psi: float = 1.0) -> Tensor:
        """z [N,z_dim] -> ws [N,num_ws,w_dim], pulled towards ``w_avg`` by ``truncation_psi``."""
        ws: Tensor = self.mapping(z).float()[:, None].expand(-1, self.num_ws, -1)
        if truncation_psi == 1.0:
            return ws
        mean = self.w_avg if self.w_avg.ndim == 1 else self.w_avg[: self.num_ws]
        return mean.lerp(ws, truncation_psi)

    @torch.no_grad()
    def track(self, w: Tensor, beta: float = 0.998) -> None:
        """Move ``w_avg`` towards the mean of the styles w [N,w_dim]."""
        self.w_avg.copy_(w.detach().float().mean(0).expand_as(self.w_avg).lerp(self.w_avg, beta))

    def forward(self, z: Tensor, truncation_psi: float = 1.0, noise: str = "random") -> Tensor:
        """z [N,z_dim] -> [N,3,S,S]."""
        return self.synthesis(self.styles(z, truncation_psi), noise)
