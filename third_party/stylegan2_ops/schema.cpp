// The one schema of the library. Python adds the fake-tensor rules and the derivatives (unmask/ops/native.py).

#include <torch/library.h>

TORCH_LIBRARY(unmask, m) {
  // clip(gain * act(x + b), -clamp, clamp); a negative clamp means no limit.
  m.def("bias_act(Tensor x, Tensor? b, int dim, str act, float gain, float clamp) -> Tensor");
  // With u = x + b: g * gain * act'(u), or g * h * gain * act''(u) where h is given; zero where the output is
  // clipped. `ref` is x, or the output where `from_output` says so (only for linear, relu, lrelu; gain > 0).
  m.def(
      "bias_act_grad(Tensor g, Tensor? h, Tensor ref, Tensor? b, int dim, str act, bool from_output, float gain, "
      "float clamp) -> Tensor");
  // up and down are (vertical, horizontal); padding is (left, right, top, bottom); f is [taps] or [taps_y, taps_x].
  m.def("upfirdn2d(Tensor x, Tensor f, int[] up, int[] down, SymInt[] padding, bool flip, float gain) -> Tensor");
}
