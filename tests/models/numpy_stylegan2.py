"""StyleGAN2's generator in float64 NumPy, from the equations of Karras et al. 2020, for the golden files.

It shares no code and no trick with the package: weights are modulated for each sample on its own, upsampling puts
zeros between the samples, every convolution is a sum over taps. Run it to make the golden files again::

    python tests/models/numpy_stylegan2.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "golden"
Z, W, DEPTH = 5, 6, 2
CHANNELS = {4: 6, 8: 5, 16: 3}
TAPS = np.array([1.0, 3.0, 3.0, 1.0]) / 8


def lrelu(x):
    return np.where(x > 0, x, 0.2 * x) * np.sqrt(2)


def dense(x, weight, bias, lr=1.0):
    """Equalized fully connected layer: the weight is scaled by lr / sqrt(inputs) when it is used."""
    return x @ (weight * lr / np.sqrt(weight.shape[1])).T + bias * lr


def mapping(z, layers):
    x = z / np.sqrt(np.mean(z**2, axis=1, keepdims=True) + 1e-8)
    for weight, bias in layers:
        x = lrelu(dense(x, weight, bias, 0.01))
    return x


def correlate(x, kernel, pad):
    """``y[o] = sum_k kernel[o, i, k] x[i, o + k - pad]`` for one image ``[I, H, W]``."""
    size = kernel.shape[2]
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    height, width = padded.shape[1] - size + 1, padded.shape[2] - size + 1
    y = np.zeros((kernel.shape[0], height, width))
    for dy in range(size):
        for dx in range(size):
            y += np.tensordot(kernel[:, :, dy, dx], padded[:, dy : dy + height, dx : dx + width], 1)
    return y


def between_zeros(x):
    u = np.zeros((x.shape[0], 2 * x.shape[1], 2 * x.shape[2]))
    u[:, ::2, ::2] = x
    return u


def low_pass(u, before, after):
    """The 4-tap filter along both axes, times four for the zeros of upsampling; the taps are symmetric."""
    for axis in (1, 2):
        width = [(0, 0)] * 3
        width[axis] = (before, after)
        p = np.pad(u, width)
        n = p.shape[axis] - 3
        u = 2 * sum(TAPS[k] * np.take(p, range(k, k + n), axis) for k in range(4))
    return u


def modulated(x, w, kernel, affine, demodulate, up):
    """Equations 1 and 3 for one image ``[I, H, W]`` and one style ``[W]``."""
    styles = dense(w[None], *affine)[0]
    kernel = kernel * styles[None, :, None, None]
    if demodulate:
        kernel = kernel / np.sqrt(np.sum(kernel**2, axis=(1, 2, 3), keepdims=True) + 1e-8)
    if not up:
        return correlate(x, kernel, kernel.shape[2] // 2)
    # A transposed convolution of stride two: a convolution (kernel reversed) of the image between zeros, in full.
    full = correlate(between_zeros(x), kernel[:, :, ::-1, ::-1], 2)[:, :-1, :-1]
    return low_pass(full, 1, 1)


def synthesis(ws, net, equalized, clamp=np.inf):
    """``ws [num_ws, W]`` to one picture. ``equalized``: 3x3 kernels too are scaled by 1 / sqrt(fan in).

    ``clamp`` is StyleGAN2-ADA's ``conv_clamp``: what every layer's output, after its activation, is held to.
    """
    x, image, index = net["const"], None, 0
    for r in CHANNELS:
        for name in ("conv0", "conv1"):
            if (layer := net.get((r, name))) is None:
                continue
            kernel = layer["weight"] / (np.sqrt(layer["weight"][0].size) if equalized else 1)
            x = modulated(x, ws[index], kernel, layer["affine"], True, name == "conv0")
            x = lrelu(x + layer["noise_strength"] * layer["noise"] + layer["bias"][:, None, None]).clip(-clamp, clamp)
            index += 1
        rgb = net[r, "rgb"]
        kernel = rgb["weight"] / np.sqrt(rgb["weight"][0].size)
        y = modulated(x, ws[index], kernel, rgb["affine"], False, False) + rgb["bias"][:, None, None]
        y = y.clip(-clamp, clamp)
        image = y if image is None else low_pass(between_zeros(image), 2, 1) + y
    return image


def random_net(rng):
    def affine(outputs):
        return rng.normal(size=(outputs, W)), 1 + 0.3 * rng.normal(size=outputs)

    net = {"mapping": [(100 * rng.normal(size=(W, Z if i == 0 else W)), 30 * rng.normal(size=W)) for i in range(DEPTH)]}
    net["const"] = rng.normal(size=(CHANNELS[4], 4, 4))
    net["w_avg"] = rng.normal(size=W)
    before = CHANNELS[4]
    for r, c in CHANNELS.items():
        for name, inputs in (("conv0", before), ("conv1", c)):
            if name == "conv0" and r == 4:
                continue
            net[r, name] = {"weight": rng.normal(size=(c, inputs, 3, 3)), "affine": affine(inputs),
                            "bias": 0.2 * rng.normal(size=c), "noise": rng.normal(size=(r, r)),
                            "noise_strength": 0.3 * rng.normal()}  # fmt: skip
        net[r, "rgb"] = {"weight": rng.normal(size=(3, c, 1, 1)), "affine": affine(c), "bias": 0.2 * rng.normal(size=3)}
        before = c
    return net


def as_ada(net):
    """The net under the names of StyleGAN2-ADA."""
    square = np.outer(TAPS, TAPS)
    state = {"synthesis.b4.const": net["const"], "mapping.w_avg": net["w_avg"]}
    for i, (weight, bias) in enumerate(net["mapping"]):
        state |= {f"mapping.fc{i}.weight": weight, f"mapping.fc{i}.bias": bias}
    for r in CHANNELS:
        state[f"synthesis.b{r}.resample_filter"] = square
        for name, ada in (("conv0", "conv0"), ("conv1", "conv1"), ("rgb", "torgb")):
            if (layer := net.get((r, name))) is None:
                continue
            key = f"synthesis.b{r}.{ada}"
            state |= {f"{key}.weight": layer["weight"], f"{key}.bias": layer["bias"],
                      f"{key}.affine.weight": layer["affine"][0], f"{key}.affine.bias": layer["affine"][1]}  # fmt: skip
            if name != "rgb":
                state |= {f"{key}.noise_const": layer["noise"], f"{key}.noise_strength": layer["noise_strength"],
                          f"{key}.resample_filter": square}  # fmt: skip
    return state


def as_rosinality(net):
    """The net under the names of rosinality's stylegan2-pytorch."""
    square = 4 * np.outer(TAPS, TAPS)
    state = {"input.input": net["const"][None], "latent_avg": net["w_avg"]}
    for i, (weight, bias) in enumerate(net["mapping"]):
        state |= {f"style.{i + 1}.weight": weight, f"style.{i + 1}.bias": bias}
    number = 0
    for i, r in enumerate(CHANNELS):
        for name in ("conv0", "conv1"):
            if (layer := net.get((r, name))) is None:
                continue
            key = "conv1" if r == 4 else f"convs.{number - 1}"
            state |= {f"{key}.conv.weight": layer["weight"][None], f"{key}.activate.bias": layer["bias"],
                      f"{key}.conv.modulation.weight": layer["affine"][0],
                      f"{key}.conv.modulation.bias": layer["affine"][1],
                      f"{key}.noise.weight": np.array([layer["noise_strength"]]),
                      f"noises.noise_{number}": layer["noise"][None, None]}  # fmt: skip
            if name == "conv0":
                state[f"{key}.conv.blur.kernel"] = square
            number += 1
        rgb, key = net[r, "rgb"], "to_rgb1" if r == 4 else f"to_rgbs.{i - 1}"
        state |= {f"{key}.conv.weight": rgb["weight"][None], f"{key}.bias": rgb["bias"].reshape(1, 3, 1, 1),
                  f"{key}.conv.modulation.weight": rgb["affine"][0],
                  f"{key}.conv.modulation.bias": rgb["affine"][1]}  # fmt: skip
        if r != 4:
            state[f"{key}.upsample.kernel"] = square
    return state


def main():
    GOLDEN.mkdir(exist_ok=True)
    for seed, layout, names in ((1, "stylegan2-ada", as_ada), (2, "rosinality", as_rosinality)):
        net = random_net(np.random.default_rng(seed))
        z = np.random.default_rng(seed + 100).normal(size=(2, Z))
        w = mapping(z, net["mapping"])
        num_ws, equalized = 2 * len(CHANNELS), layout == "rosinality"
        images = np.stack([synthesis(np.repeat(row[None], num_ws, 0), net, equalized) for row in w])
        cut = net["w_avg"] + 0.7 * (w - net["w_avg"])
        truncated = np.stack([synthesis(np.repeat(row[None], num_ws, 0), net, equalized) for row in cut])
        state = {f"state/{key}": np.asarray(value, np.float64) for key, value in names(net).items()}
        np.savez_compressed(GOLDEN / f"{layout}.npz", z=z, w=w, images=images, truncated=truncated, **state)


if __name__ == "__main__":
    main()
