"""The unmasking encoder: a masked crop and its region in, W+ codes and skip features out.

A trunk of IR units, a feature pyramid over its three coarsest maps, and one map-to-style head for each style vector, as
in pSp (Richardson et al. 2021); codes are offsets from the generator's mean style. Skip features, which pSp has not,
carry what is visible over to the generator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .iresnet import IResNet
from .pyramid import top_down


def visible(x: Tensor, region: Tensor) -> Tensor:
    """What the trunk sees: x [N,3,S,S] with the region [N,1,S,S] blanked, and the region in [-1,1] -> [N,4,S,S]."""
    return torch.cat([x * (1 - region), 2 * region - 1], 1).contiguous(memory_format=torch.channels_last)


def shrunk(x: Tensor, side: int) -> Tensor:
    """Pictures [N,C,S,S] at ``side``, a divisor of S, by means of squares."""
    return x if x.shape[2] == side else functional.avg_pool2d(x, x.shape[2] // side)


def grown(region: Tensor, margin: int) -> Tensor:
    """A region [N,1,S,S] grown by ``margin`` pixels on every side; :func:`unmask.faces.blend.grown` for arrays."""
    return functional.max_pool2d(region, 2 * margin + 1, 1, margin) if margin else region


def trunk(size: int, widths: Sequence[int], depths: Sequence[int]) -> IResNet:
    """The encoder's trunk: stem and stages of an :class:`IResNet` for what :func:`visible` gives, without a head."""
    network = IResNet(widths, depths, 1, (size, size), "gdc", 2, act="lrelu", early_stride=True, inputs=4)
    network.head = nn.Identity()
    return network


class StyleHeads(nn.Module):
    """One pyramid map to several style offsets: strided convolutions down to 4x4, then a linear head for each style."""

    def __init__(self, inputs: int, size: int, width: int, narrow: int, heads: int, w_dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        while size > 4:
            layers += [nn.Conv2d(inputs, width, 3, 2, 1), nn.LeakyReLU(0.2)]
            inputs, size = width, size // 2
        layers += [nn.Conv2d(inputs, narrow * heads, 1), nn.LeakyReLU(0.2)]
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleList(nn.Linear(narrow * 16, w_dim) for _ in range(heads))
        for head in self.heads:
            nn.init.normal_(head.weight, std=0.01)  # type: ignore[arg-type]
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """[N,inputs,H,W] -> [N,heads,w_dim]."""
        parts = self.trunk(x).chunk(len(self.heads), dim=1)
        return torch.stack([head(part.flatten(1)) for head, part in zip(self.heads, parts, strict=True)], 1)


class Encoder(nn.Module):
    """Masked crop and region to style offsets and skip features.

    Args:
        num_ws, w_dim: number and length of the style vectors.
        size: side of the crop.
        widths, depths: the trunk (:class:`unmask.models.iresnet.IResNet` with an early stride); its stem halves the
            side, and so does every stage.
        pyramid: channels of the feature pyramid.
        narrow: channels that each head reads at 4x4.
        skips: resolution -> channels of the generator there; resolutions from the coarsest trunk map to the
            stem's.
        gated: resolutions whose skip features pass only where the region is not.
    """

    def __init__(
        self,
        num_ws: int,
        w_dim: int,
        size: int = 128,
        widths: Sequence[int] = (32, 64, 128, 224),
        depths: Sequence[int] = (2, 3, 2),
        pyramid: int = 96,
        narrow: int = 16,
        skips: Mapping[int, int] | None = None,
        gated: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if len(depths) < 3:
            raise ValueError("the pyramid takes at least three stages")
        self.size = size
        self.trunk = trunk(size, widths, depths)
        sides = [size // 2 ** (i + 1) for i in range(len(widths))]  # of the stem and of each stage
        self.levels, self.fine, self.gated = sides[-3:], sides[:-3], tuple(gated)
        fine = dict(zip(sides[:-3], widths[:-3], strict=True))  # maps above the pyramid, with their channels
        self.lateral = nn.ModuleList(nn.Conv2d(c, pyramid, 1) for c in list(widths)[-3:])
        self.smooth = nn.ModuleList(nn.Conv2d(pyramid, pyramid, 3, 1, 1) for _ in self.levels)
        split = (min(3, num_ws), min(2, max(0, num_ws - 3)), max(0, num_ws - 5))  # coarse, middle, fine styles
        self.styles = nn.ModuleList(
            StyleHeads(pyramid, side, 64, narrow, heads, w_dim)
            for side, heads in zip(reversed(self.levels), split, strict=True)
            if heads
        )
        self.skips = nn.ModuleDict()
        for r, channels in (skips or {}).items():
            if r not in sides:
                raise ValueError(f"no skip features at {r} px; this encoder has {sorted(sides)}")
            layer = nn.Sequential(
                nn.Conv2d(pyramid + fine.get(r, 0), channels, 3, 1, 1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(channels, channels, 3, 1, 1),
            )
            nn.init.zeros_(layer[2].weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer[2].bias)  # type: ignore[arg-type]
            self.skips[str(r)] = layer

    def forward(self, x: Tensor, region: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """x [N,3,S,S] in [-1,1], region [N,1,S,S] in [0,1] -> offsets [N,num_ws,w_dim], skips {r: [N,C_r,r,r]}."""
        seen = visible(x, region)
        maps = [self.trunk.stem(seen)]
        for stage in self.trunk.stages:
            maps.append(stage(maps[-1]))
        levels = top_down(self.lateral, maps[-3:])
        pyramid = [smooth(level) for smooth, level in zip(self.smooth, levels, strict=True)]  # coarsest first
        offsets = torch.cat([head(level) for head, level in zip(self.styles, pyramid, strict=False)], 1)
        return offsets.float(), self._skips(maps[:-3], pyramid, region)

    def _skips(self, fine: list[Tensor], pyramid: list[Tensor], region: Tensor) -> dict[int, Tensor]:
        found = {}
        above = dict(zip(self.fine, fine, strict=True))
        for key, layer in self.skips.items():
            r = int(key)
            if r in above:
                up = functional.interpolate(pyramid[-1], size=(r, r), mode="nearest")
                feature = layer(torch.cat([above[r], up], 1))
            else:
                feature = layer(pyramid[list(reversed(self.levels)).index(r)])
            if r in self.gated:
                feature = feature * (1 - functional.adaptive_avg_pool2d(region, r)).to(feature.dtype)
            found[r] = feature
        return found
