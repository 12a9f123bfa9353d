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
#define UNMASK_HALF_TYPES 1
#endif

namespace unmask {

template <typename T>
struct Wide {  // sums are made in this type
  using type = float;
};
template <>
struct Wide<double> {
  using type = double;
};

template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
};

}  // namespace unmask
