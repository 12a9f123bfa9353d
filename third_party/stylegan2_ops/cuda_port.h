// What the kernels need of CUDA. The tests compile them for the CPU with an own version of these names.
#pragma once

#ifdef UNMASK_EMULATE
#include UNMASK_EMULATE

#define UNMASK_LAUNCH(kernel, grid, block, stream, ...) emulate(grid, block, [&] { kernel(__VA_ARGS__); })
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define UNMASK_LAUNCH(kernel, grid, block, stream, ...) kernel<<<grid, block, 0, stream>>>(__VA_ARGS__)
#endif

#include "axis.h"

namespace unmask {

// Sums are made in Wide<T>::type. All conversions are here and named: PyTorch builds extensions with
// __CUDA_NO_HALF_CONVERSIONS__ and its kin, which take away every other one.
template <typename T>
struct Wide {
  using type = T;
  UNMASK_BOTH static T widen(T v) { return v; }
  UNMASK_BOTH static T narrow(T v) { return v; }
};
template <>
struct Wide<__half> {
  using type = float;
  UNMASK_BOTH static float widen(__half v) { return __half2float(v); }
  UNMASK_BOTH static __half narrow(float v) { return __float2half(v); }
};
template <>
struct Wide<__nv_bfloat16> {
  using type = float;
  UNMASK_BOTH static float widen(__nv_bfloat16 v) { return __bfloat162float(v); }
  UNMASK_BOTH static __nv_bfloat16 narrow(float v) { return __float2bfloat16(v); }
};

template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
};

}  // namespace unmask
