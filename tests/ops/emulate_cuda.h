// Enough of CUDA to run its kernels on the CPU: the threads of a block are fibres, __syncthreads() passes on to the
// next one, so that every thread has come to a barrier before the first leaves it. Blocks run one after another.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <ucontext.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#define __global__
#define __device__
#define __shared__ static

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
inline dim3 gridDim, blockDim, blockIdx, threadIdx;

using cudaStream_t = void*;
enum cudaError_t { cudaSuccess, cudaErrorInvalidValue };
inline cudaError_t cudaGetLastError() { return cudaSuccess; }

// With nothing but the conversions by name, as PyTorch leaves them to extensions.
struct __half {
  std::uint16_t bits;
};
struct __nv_bfloat16 {
  std::uint16_t bits;
};
inline float __half2float(__half v) { return c10::Half(v.bits, c10::Half::from_bits()); }
inline __half __float2half(float v) { return {c10::Half(v).x}; }
inline float __bfloat162float(__nv_bfloat16 v) { return c10::BFloat16(v.bits, c10::BFloat16::from_bits()); }
inline __nv_bfloat16 __float2bfloat16(float v) { return {c10::BFloat16(v).x}; }

struct Fibre {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[size]};
  bool done = false;
  static constexpr std::size_t size = 1 << 16;
};
inline std::vector<Fibre> fibres;
inline std::function<void()> body;
inline ucontext_t scheduler;
inline unsigned current;

inline void __syncthreads() { swapcontext(&fibres[current].context, &scheduler); }

inline void run_fibre() {
  body();
  fibres[current].done = true;
  swapcontext(&fibres[current].context, &scheduler);
}

inline void emulate(dim3 grid, dim3 block, std::function<void()> kernel) {
  gridDim = grid, blockDim = block, body = std::move(kernel);
  fibres.resize(block.x);
  for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) {
        for (auto& fibre : fibres) {
          getcontext(&fibre.context);
          fibre.context.uc_stack.ss_sp = fibre.stack.get();
          fibre.context.uc_stack.ss_size = Fibre::size;
          fibre.done = false;
          makecontext(&fibre.context, run_fibre, 0);
        }
        for (bool left = true; left;) {
          left = false;
          for (current = 0; current < block.x; ++current) {
            if (fibres[current].done) continue;
            threadIdx = dim3(current, 0, 0);
            swapcontext(&scheduler, &fibres[current].context);
            left = left || !fibres[current].done;
          }
        }
      }
}
