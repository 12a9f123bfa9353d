// The CUDA side without PyTorch: raw pointers and a stream. cuda_bindings.cpp calls it with tensors.
#pragma once

#include <cstdint>

#include "axis.h"
#include "common.h"
#include "cuda_port.h"

namespace unmask {

enum class Type { f64, f32, f16, bf16 };

// out = clip(gain * act(x + b)) for order 0 and its derivatives for order 1 (times g) and 2 (times g and h). The
// tensors share one dense layout: element p belongs to channel (p / inner) % channels. b, g and h may be null.
struct BiasActCall {
  Type type;
  Act act;
  int order;
  bool from_output;  // x is the output, see is_piecewise_linear
  void* out;
  const void *x, *g, *h, *b;
  int64_t n, channels, inner;
  double gain, clamp;  // a negative clamp means none
};

// f has float taps, or double ones for Type::f64, in device memory: [y.taps, x.taps], or one row if separable.
struct UpFirDnCall {
  Type type;
  bool channels_last;  // of x and out
  bool separable, flip;
  void* out;
  const void *x, *f;
  int64_t batch, channels;
  Axis y, x_axis;
  double gain;
};

cudaError_t launch_bias_act(const BiasActCall& call, cudaStream_t stream);
cudaError_t launch_upfirdn2d(const UpFirDnCall& call, cudaStream_t stream);

}  // namespace unmask
