"""Detail for a picture that was painted at half the side, as fine as what is seen around it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Detail(nn.Module):
    """A picture twice as large: the one given, enlarged, and gray detail beside.

    A small U-Net at the side of the given picture and half of it. It sees what is bare of the face at the full side, by
    whose sharpness and grain it goes; gray, since an eye wants color no finer than the given picture has it.

    Args:
        channels: at the side of the given picture; twice as many at half of it.
        blocks: residual blocks at half of it.
    """

    cubic: Tensor

    def __init__(self, channels: int = 24, blocks: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv2d(3 + 4 * 4, channels, 3, 1, 1)
        self.before = Block(channels)
        self.down = nn.Conv2d(channels, 2 * channels, 3, 2, 1)
        self.middle = nn.Sequential(*(Block(2 * channels) for _ in range(blocks)))
        self.up = nn.Conv2d(2 * channels, 4 * channels, 3, 1, 1)
        self.after = Block(channels)
        self.last = nn.Conv2d(channels, 4, 3, 1, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        self.register_buffer("cubic", _cubic(), persistent=False)

    def forward(self, picture: Tensor, seen: Tensor) -> Tensor:
        """``picture`` [N,3,S/2,S/2] and what is ``seen`` [N,4,S,S] of the face -> [N,3,S,S]."""
        x = torch.cat([picture, functional.pixel_unshuffle(seen, 2)], 1)
        fine = self.before(act(self.first(x.contiguous(memory_format=torch.channels_last))))
        coarse = self.middle(act(self.down(fine)))
        fine = self.after(fine + functional.pixel_shuffle(self.up(coarse), 2))
        return self.enlarged(picture) + functional.pixel_shuffle(self.last(act(fine)), 2)

    def enlarged(self, picture: Tensor) -> Tensor:
        """[N,3,H,W] -> [N,3,2H,2W], bicubic, as a convolution: ONNX Runtime takes ten times as long to resize."""
        padded = functional.pad(picture, (2, 2, 2, 2), mode="replicate")
        return functional.pixel_shuffle(functional.conv2d(padded, self.cubic.to(picture.dtype), groups=3), 2)


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0, self.conv1 = (nn.Conv2d(channels, channels, 3, 1, 1) for _ in range(2))
        nn.init.zeros_(self.conv1.weight)
        nn.init.zeros_(self.conv1.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """The shape stays."""
        return x + self.conv1(act(self.conv0(act(x))))


def act(x: Tensor) -> Tensor:
    """The nonlinearity."""
    return functional.leaky_relu(x, 0.2)


def _cubic() -> Tensor:
    """The kernels [12,1,5,5] of bicubic enlarging by two (Keys 1981, a = -0.75), four a color."""
    away = (torch.arange(-2.0, 3.0)[None] - torch.tensor([[-0.25], [0.25]])).abs()
    near = 1.25 * away**3 - 2.25 * away**2 + 1
    far = -0.75 * (away**3 - 5 * away**2 + 8 * away - 4)
    taps = torch.where(away <= 1, near, torch.where(away < 2, far, 0.0))
    return (taps[:, None, :, None] * taps[None, :, None, :]).reshape(4, 1, 5, 5).repeat(3, 1, 1, 1)
