// What one call of upfirdn2d does, worked out once and read by the CPU and the CUDA side.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/ArrayRef.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "axis.h"

namespace unmask {

struct Plan {
  Axis y, x;
  bool separable;
  // Correlation order, gain included. Separable: taps of y, then of x. Else [taps_y, taps_x].
  std::vector<double> taps;
};

inline Axis make_axis(int64_t in, int64_t up, int64_t down, int64_t before, int64_t after, int64_t taps) {
  TORCH_CHECK(up >= 1 && down >= 1, "up and down must be at least 1");
  const int64_t room = in * up + before + after - taps;
  TORCH_CHECK(room >= 0, "the padded image is smaller than the filter");
  return {in, room / down + 1, up, down, before, taps};
}

// Split [ty, tx] into the taps of y followed by the taps of x, where that is exact.
inline bool split(const std::vector<double>& f, int64_t ty, int64_t tx, std::vector<double>& parts) {
  int64_t peak = 0;
  for (size_t i = 0; i < f.size(); ++i) {
    if (std::abs(f[i]) > std::abs(f[peak])) peak = int64_t(i);
  }
  if (f[peak] == 0 || ty == 1 || tx == 1) return false;
  const int64_t py = peak / tx, px = peak % tx;
  parts.resize(ty + tx);
  for (int64_t i = 0; i < ty; ++i) parts[i] = f[i * tx + px] / f[peak];
  for (int64_t j = 0; j < tx; ++j) parts[ty + j] = f[py * tx + j];
  for (int64_t i = 0; i < ty; ++i) {
    for (int64_t j = 0; j < tx; ++j) {
      if (parts[i] * parts[ty + j] != f[i * tx + j]) return false;
    }
  }
  return true;
}

inline void check_arguments(const at::Tensor& x, const at::Tensor& f, at::IntArrayRef up, at::IntArrayRef down,
                            at::IntArrayRef padding) {
  TORCH_CHECK(x.dim() == 4, "upfirdn2d takes [N, C, H, W], got ", x.sizes());
  TORCH_CHECK((f.dim() == 1 || f.dim() == 2) && f.numel() > 0, "a filter is [taps] or [taps_y, taps_x], got ",
              f.sizes());
  TORCH_CHECK(up.size() == 2 && down.size() == 2 && padding.size() == 4,
              "up and down have two numbers and padding has four");
}

inline Plan make_plan(const at::Tensor& x, const at::Tensor& f, at::IntArrayRef up, at::IntArrayRef down,
                      at::IntArrayRef padding, bool flip, double gain) {
  check_arguments(x, f, up, down, padding);
  const at::Tensor taps = f.to(at::kCPU, at::kDouble).contiguous();
  const double* data = taps.const_data_ptr<double>();
  const int64_t ty = f.size(0), tx = f.size(-1);
  Plan plan{make_axis(x.size(2), up[0], down[0], padding[2], padding[3], ty),
            make_axis(x.size(3), up[1], down[1], padding[0], padding[1], tx), f.dim() == 1, {}};
  std::vector<double> values(data, data + f.numel());
  if (!flip) std::reverse(values.begin(), values.end());
  if (plan.separable) {
    plan.taps = values;
    plan.taps.insert(plan.taps.end(), values.begin(), values.end());
  } else {
    plan.separable = split(values, ty, tx, plan.taps);
    if (!plan.separable) plan.taps = std::move(values);
  }
  const size_t scaled = plan.separable ? size_t(ty) : plan.taps.size();
  for (size_t i = 0; i < scaled; ++i) plan.taps[i] *= gain;
  return plan;
}

}  // namespace unmask
