// The CUDA kernels, compiled for the CPU with emulate_cuda.h, behind plain C functions for ctypes.

#include "bias_act.cu"
#include "upfirdn2d.cu"

using namespace unmask;

static Axis axis(const int64_t* a) { return {a[0], a[1], a[2], a[3], a[4], a[5]}; }

extern "C" int run_bias_act(int type, const char* act, int order, int from_output, void* out, const void* x,
                            const void* g, const void* h, const void* b, int64_t n, int64_t channels, int64_t inner,
                            double gain, double clamp) {
  return launch_bias_act({Type(type), parse_act(act), order, bool(from_output), out, x, g, h, b, n,
                          channels, inner, gain, clamp},
                         nullptr);
}

extern "C" int run_upfirdn2d(int type, int channels_last, int separable, int flip, void* out, const void* x,
                             const void* f, int64_t batch, int64_t channels, const int64_t* y, const int64_t* width,
                             double gain) {
  return launch_upfirdn2d({Type(type), bool(channels_last), bool(separable), bool(flip), out, x, f,
                           batch, channels, axis(y), axis(width), gain},
                          nullptr);
}
