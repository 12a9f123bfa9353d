"""Perceptual losses: distance of deep features, from a face recognizer or from LPIPS."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .. import weights
from ..errors import UnmaskError
from ..faces import align
from ..models.iresnet import IResNet
from . import crops

# net of the lpips package -> torchvision's name for the ImageNet weights of its trunk
TRUNKS = {"alex": "AlexNet_Weights.IMAGENET1K_V1", "vgg": "VGG16_Weights.IMAGENET1K_V1"}


class FaceFeatures(nn.Module):
    """Feature maps and embedding of aligned crops through a frozen recognizer; gradients flow to the crops.

    Args:
        network: the recognizer.
        template, size: alignment and side of the crops that will be given.
    """

    def __init__(self, network: IResNet, template: str = "ffhq", size: int = 128) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.matrix = torch.from_numpy(align.between(template, size, "arcface", network.size)).float()

    def forward(self, x: Tensor, matrices: Tensor | None = None) -> tuple[list[Tensor], Tensor]:
        """x [N,3,size,size] in [-1,1] -> feature maps (finest first) and unit-length embeddings [N,D].

        ``matrices`` [N,2,3] take the crops to the recognizer's input instead of :attr:`matrix`, each its own way.
        """
        crop = crops.warp(x, self.matrix if matrices is None else matrices, self.network.size)
        maps = self.network.maps(crop.contiguous(memory_format=torch.channels_last))
        return maps, functional.normalize(self.network.head(maps[-1]).float(), dim=1)

    def jittered(self, n: int, shift: float = 0.02, turn: float = 3.0, zoom: float = 0.03) -> Tensor:
        """``n`` matrices [N,2,3] near :attr:`matrix`, from torch's generator: as a detector's points would vary.

        ``shift`` (share of the side), ``turn`` (degrees) and ``zoom`` (share) are standard deviations.
        """
        side = self.network.size[0]
        angle, scale = torch.randn(n).double() * math.radians(turn), (torch.randn(n).double() * zoom).exp()
        cos, sin = scale * angle.cos(), scale * angle.sin()
        linear = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)  # [N,2,2]
        center = torch.full((2,), (side - 1) / 2, dtype=torch.float64)
        move = center - linear @ center + torch.randn(n, 2).double() * shift * side
        base = self.matrix.double()
        return torch.cat([linear @ base[:, :2], (linear @ base[:, 2] + move)[:, :, None]], 2)


def disturbed(x: Tensor, share: float) -> Tensor:
    """A random share of the pictures x [N,3,S,S] in another light and less sharp, from torch's generator.

    What an identity network sees then is a face, and not a signal that was made for it.
    """
    chosen = torch.nonzero(torch.rand(len(x)) < share)[:, 0]
    if not len(chosen):
        return x
    gain = (torch.randn(len(chosen), 1, 1, 1) * 0.2 + torch.randn(len(chosen), 3, 1, 1) * 0.05).exp()
    offset = torch.randn(len(chosen), 1, 1, 1) * 0.1
    side = int(x.shape[2] * (0.4 + 0.5 * float(torch.rand(()))))
    part = functional.interpolate(x[chosen], size=(side, side), mode="bilinear", antialias=True, align_corners=False)
    part = functional.interpolate(part, size=x.shape[2:], mode="bilinear", align_corners=False)
    return x.index_copy(0, chosen.to(x.device), (part * gain.to(x.device) + offset.to(x.device)).to(x.dtype))


def covers(n: int, size: int, share: float) -> Tensor:
    """What is to be covered of ``n`` faces aligned to ``ffhq``, [N,1,size,size]: 1 over the eyes of a random share.

    A recognizer that knows faces by what is bare hardly looks at what is painted. With the eyes covered it has to.
    """
    out = torch.zeros(n, 1, size, size)
    drawn = torch.rand(n, 4).tolist()
    for one, (whether, above, below, width) in zip(out, drawn, strict=True):
        if whether < share:
            edge = round(0.2 * width * size)  # from the brow or higher down to the bridge of the nose
            one[:, round(0.36 * above * size) : round((0.5 + 0.06 * below) * size), edge : size - edge] = 1
    return out


def load(name_or_path: str, size: int, device: torch.device) -> FaceFeatures:
    """The features of a recognizer (a checkpoint of kind ``iresnet``, by name or path) for ffhq crops of ``size``."""
    network = weights.build(weights.read(name_or_path, kind="iresnet"))
    return FaceFeatures(network.to(device), "ffhq", size)


def feature_distance(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Mean over levels of the squared distance of channel-normalized maps: LPIPS (Zhang et al. 2018), unit weights."""
    total = torch.zeros((), device=a[0].device)
    for x, y in zip(a, b, strict=True):
        difference = functional.normalize(x.float(), dim=1) - functional.normalize(y.float(), dim=1)
        total = total + difference.square().sum(1).mean()
    return total / len(a)


def lpips(net: str = "alex") -> Any:
    """LPIPS (Zhang et al. 2018, version 0.1) of the ``lpips`` package: two batches [N,3,H,W] in [-1,1] -> [N,1,1,1].

    The trunk (a key of :data:`TRUNKS`) is read from torch's hub folder, where it is downloaded if it is not there.
    Gradients flow to the pictures.

    Raises:
        UnmaskError: the package or the trunk is missing.
    """
    try:
        from lpips import LPIPS  # imports torchvision, so only when it is asked for
        from torchvision.models import get_weight
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision for another torch
        raise UnmaskError(
            f"LPIPS needs the lpips package and the torchvision of this torch ({_line(error)}); "
            "pip install 'unmask[lpips]'"
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the package calls torchvision in its old way
        network = LPIPS(net=net, pnet_rand=True, verbose=False)
    url = get_weight(TRUNKS[net]).url
    try:
        # By ourselves: the package's own way unpickles whatever the file holds.
        trunk = torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)
        names = network.net.state_dict()  # slice2.3.weight is torchvision's features.3.weight
        network.net.load_state_dict({name: trunk[f"features.{name.partition('.')[2]}"] for name in names})
    except (OSError, RuntimeError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise UnmaskError(
            f"LPIPS: the weights of its trunk do not load ({_line(error)}); put torchvision's "
            f"{url.rpartition('/')[2]} into {torch.hub.get_dir()}/checkpoints ($TORCH_HOME/hub/checkpoints)"
        ) from None
    return network.eval().requires_grad_(False)


@torch.no_grad()
def lpips_and_map(network: Any, y_hat: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """LPIPS of every pair of pictures, [N], and its map [N,1,H,W], by a network that :func:`lpips` gave.

    The map is enlarged from the feature maps bilinearly, so that its mean is LPIPS nearly, but not exactly.
    """
    mapping = copy.copy(network)  # the same weights
    mapping.spatial = True
    return network(y_hat, y).flatten(), mapping(y_hat, y)


def _line(error: Exception) -> str:
    """The first line of what an error says."""
    return str(error).partition("\n")[0] or type(error).__name__
