// How the elements of a dense tensor lie in memory around the dimension of the bias.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_strided.h>

namespace unmask {

// Element p of the memory belongs to channel (p / inner) % channels.
struct Runs {
  int64_t outer, channels, inner;
};

inline Runs runs_of(const at::Tensor& dense, bool has_bias, int64_t dim) {
  const int64_t n = dense.numel();
  if (!has_bias || n == 0 || dense.size(dim) == 1) return {1, 1, n};
  const int64_t channels = dense.size(dim), inner = dense.stride(dim);
  return {n / (channels * inner), channels, inner};
}

// `t` with its elements in the order of `like`, which is dense; a copy only where they are not.
inline at::Tensor laid_out_as(const at::Tensor& t, const at::Tensor& like) {
  TORCH_CHECK(t.sizes() == like.sizes(), "expected a tensor of shape ", like.sizes(), ", got ", t.sizes());
  TORCH_CHECK(t.scalar_type() == like.scalar_type(), "expected ", like.scalar_type(), ", got ", t.scalar_type());
  TORCH_CHECK(t.device() == like.device(), "expected a tensor on ", like.device(), ", got ", t.device());
  for (int64_t i = 0; i < t.dim(); ++i) {
    if (t.size(i) > 1 && t.stride(i) != like.stride(i)) {
      return at::empty_strided(like.sizes(), like.strides(), like.options()).copy_(t);
    }
  }
  return t;
}

inline void check_bias(const at::Tensor& x, const at::Tensor& b, int64_t dim) {
  TORCH_CHECK(dim >= 0 && dim < x.dim(), "dim ", dim, " is no dimension of a tensor of shape ", x.sizes());
  TORCH_CHECK(b.dim() == 1 && b.size(0) == x.size(dim), "a bias of shape ", b.sizes(), " does not fit dim ", dim,
              " of ", x.sizes());
  TORCH_CHECK(b.scalar_type() == x.scalar_type(), "the bias must be ", x.scalar_type(), ", not ", b.scalar_type());
  TORCH_CHECK(b.device() == x.device(), "the bias must be on ", x.device(), ", not ", b.device());
}

}  // namespace unmask
