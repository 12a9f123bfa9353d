// upfirdn2d on CUDA. Three kernels:
//  - tile: [N, C, H, W], separable with at most four taps, up or down by two at most: a tile of the input goes to
//    shared memory, every thread filters rows of one column and slides the vertical filter over them;
//  - strip: the same for channels last, where a warp reads neighboring channels and needs no shared memory;
//  - any: every other case, one output to a thread.

#include "cuda_kernels.h"

namespace unmask {
namespace {

constexpr int kTaps = 4;

template <typename A>
struct Taps {  // correlation order, filled up with zeros
  A y[kTaps], x[kTaps];
};

template <typename A>
__device__ inline Taps<A> read_taps(const A* f, int ty, int tx, bool flip, A gain) {
  Taps<A> t;
  for (int k = 0; k < kTaps; ++k) {
    t.y[k] = k < ty ? f[flip ? k : ty - 1 - k] * gain : A(0);
    t.x[k] = k < tx ? f[flip ? k : tx - 1 - k] : A(0);
  }
  return t;
}

struct Geometry {  // of the tile and strip kernels; out starts `shift` samples early, so that it starts a phase
  int in_h, in_w, out_h, out_w, before_y, before_x, shift_y, shift_x, ty, tx;
  bool flip;
};

// Rows of the input that R rows of the output meet, where the first of them starts a phase.
template <int UP, int DOWN, int R>
constexpr int kRows = UP == 2 ? R / 2 + 2 : (R - 1) * DOWN + kTaps;

// Output i of R from filtered rows, first tap and row by phase; all indices are known when this is compiled.
template <int UP, int DOWN, typename A>
__device__ inline A slide(const A* rows, const A* taps, int i) {
  if constexpr (UP == 2) {
    const int row = (i + 1) / 2;
    return taps[i % 2] * rows[row] + taps[i % 2 + 2] * rows[row + 1];
  } else {
    A sum = 0;
#pragma unroll
    for (int k = 0; k < kTaps; ++k) sum += taps[k] * rows[i * DOWN + k];
    return sum;
  }
}

template <typename T, int UP, int DOWN, int R>
__global__ void tile_kernel(T* out, const T* in, const typename Wide<T>::type* f, typename Wide<T>::type gain,
                            Geometry g, int64_t planes) {
  using A = typename Wide<T>::type;
  constexpr int W = 64, GROUPS = 4, H = GROUPS * R;  // the tile of the output; 256 threads
  constexpr int in_w = kRows<UP, DOWN, W>, in_h = kRows<UP, DOWN, H>;
  __shared__ A tile[in_h * in_w];
  const Taps<A> taps = read_taps(f, g.ty, g.tx, g.flip, gain);
  const int column = int(threadIdx.x) % W, group = int(threadIdx.x) / W;
  const int out_x = int(blockIdx.x) * W - g.shift_x, out_y = int(blockIdx.y) * H - g.shift_y;
  const int in_x = (out_x * DOWN - g.before_x) / UP, in_y = (out_y * DOWN - g.before_y) / UP;  // exact
  for (int64_t plane = blockIdx.z; plane < planes; plane += gridDim.z) {
    const T* image = in + plane * g.in_h * g.in_w;
    for (int i = int(threadIdx.x); i < in_h * in_w; i += W * GROUPS) {
      const int y = in_y + i / in_w, x = in_x + i % in_w;
      const bool inside = y >= 0 && y < g.in_h && x >= 0 && x < g.in_w;
      tile[i] = inside ? Wide<T>::widen(image[int64_t(y) * g.in_w + x]) : A(0);
    }
    __syncthreads();
    const int first_x = UP == 2 ? (column + 1) / 2 : column * DOWN;
    const A* source = tile + (UP == 2 ? group * R / 2 : group * R * DOWN) * in_w + first_x;
    A rows[kRows<UP, DOWN, R>];
#pragma unroll
    for (int j = 0; j < kRows<UP, DOWN, R>; ++j) {
      const A* row = source + j * in_w;
      if constexpr (UP == 2) {
        rows[j] = column % 2 ? taps.x[1] * row[0] + taps.x[3] * row[1] : taps.x[0] * row[0] + taps.x[2] * row[1];
      } else {
        rows[j] = taps.x[0] * row[0] + taps.x[1] * row[1] + taps.x[2] * row[2] + taps.x[3] * row[3];
      }
    }
    const int x = out_x + column;
    T* target = out + plane * g.out_h * g.out_w + x;
#pragma unroll
    for (int i = 0; i < R; ++i) {
      const int y = out_y + group * R + i;
      if (x >= 0 && x < g.out_w && y >= 0 && y < g.out_h) {
        target[int64_t(y) * g.out_w] = Wide<T>::narrow(slide<UP, DOWN>(rows, taps.y, i));
      }
    }
    __syncthreads();
  }
}

// One thread: N channels, one column, R rows of the output.
template <typename T, int UP, int DOWN, int R, int N>
__global__ void strip_kernel(T* out, const T* in, const typename Wide<T>::type* f, typename Wide<T>::type gain,
                             Geometry g, int packs, int64_t total) {
  using A = typename Wide<T>::type;
  using P = Pack<T, N>;
  const int64_t id = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (id >= total) return;
  const Taps<A> taps = read_taps(f, g.ty, g.tx, g.flip, gain);
  const int strips = (g.out_h + g.shift_y + R - 1) / R;
  const int pack = int(id % packs), x = int(id / packs % g.out_w), strip = int(id / packs / g.out_w % strips);
  const int64_t batch = id / packs / g.out_w / strips;
  const int phase = UP == 2 ? (x + g.shift_x) % 2 : 0;  // out -shift starts a phase
  const int in_x = UP == 2 ? (x + phase - g.before_x) / 2 : x * DOWN - g.before_x;
  const int out_y = strip * R - g.shift_y, in_y = (out_y * DOWN - g.before_y) / UP;
  const P* image = reinterpret_cast<const P*>(in) + batch * g.in_h * g.in_w * packs + pack;
  A sums[R][N] = {};
#pragma unroll
  for (int j = 0; j < kRows<UP, DOWN, R>; ++j) {
    const int y = in_y + j;
    if (y < 0 || y >= g.in_h) continue;
    A row[N] = {};
#pragma unroll
    for (int k = 0; k < kTaps / UP; ++k) {
      const int column = in_x + k;
      if (column < 0 || column >= g.in_w) continue;
      const P v = image[(int64_t(y) * g.in_w + column) * packs];
      const A tap = UP == 2 ? (phase ? taps.x[2 * k + 1] : taps.x[2 * k]) : taps.x[k];
#pragma unroll
      for (int c = 0; c < N; ++c) row[c] += tap * Wide<T>::widen(v.v[c]);
    }
#pragma unroll
    for (int i = 0; i < R; ++i) {  // row j of the input is tap k of output i
      const int k = UP == 2 ? 2 * (j - (i + 1) / 2) + i % 2 : j - i * DOWN;
      if (k < 0 || k >= kTaps) continue;
#pragma unroll
      for (int c = 0; c < N; ++c) sums[i][c] += taps.y[k] * row[c];
    }
  }
#pragma unroll
  for (int i = 0; i < R; ++i) {
    const int y = out_y + i;
    if (y < 0 || y >= g.out_h) continue;
    P v;
    for (int c = 0; c < N; ++c) v.v[c] = Wide<T>::narrow(sums[i][c]);
    reinterpret_cast<P*>(out)[((batch * g.out_h + y) * g.out_w + x) * packs + pack] = v;
  }
}

template <typename T>
__global__ void any_kernel(T* out, const T* in, const typename Wide<T>::type* f, UpFirDnCall c, int64_t total) {
  using A = typename Wide<T>::type;
  const Axis &ay = c.y, &ax = c.x_axis;
  const int64_t pixel = c.channels_last ? c.channels : 1, plane = c.channels_last ? 1 : ay.in * ax.in;
  for (int64_t id = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; id < total; id += int64_t(gridDim.x) * blockDim.x) {
    int64_t rest = id, channel, x, y, batch;
    if (c.channels_last) {
      channel = rest % c.channels, rest /= c.channels;
      x = rest % ax.out, rest /= ax.out;
      y = rest % ay.out, batch = rest / ay.out;
    } else {
      x = rest % ax.out, rest /= ax.out;
      y = rest % ay.out, rest /= ay.out;
      channel = rest % c.channels, batch = rest / c.channels;
    }
    Start sy = ay.start(y), sx = ax.start(x);
    const int64_t ny = ay.clip(sy), nx = ax.clip(sx);
    const T* image = in + batch * c.channels * ay.in * ax.in + channel * plane;
    A sum = 0;
    for (int64_t j = 0; j < ny; ++j) {
      const int64_t ky = sy.first + j * ay.up, fy = c.flip ? ky : ay.taps - 1 - ky;
      const T* row = image + ((sy.source + j) * ax.in + sx.source) * pixel;
      A part = 0;
      for (int64_t i = 0; i < nx; ++i) {
        const int64_t kx = sx.first + i * ax.up, fx = c.flip ? kx : ax.taps - 1 - kx;
        part += f[c.separable ? fx : fy * ax.taps + fx] * Wide<T>::widen(row[i * pixel]);
      }
      sum += c.separable ? f[fy] * part : part;
    }
    out[id] = Wide<T>::narrow(sum * A(c.gain));
  }
}

template <typename T, int UP, int DOWN>
void launch_small(const UpFirDnCall& c, cudaStream_t stream) {
  using A = typename Wide<T>::type;
  constexpr int R = sizeof(A) == 8 ? 4 : 8, N = 16 / sizeof(T);
  auto shift = [](int64_t before) { return UP == 2 ? int((before % 2 + 2) % 2) : 0; };
  const Geometry g{int(c.y.in), int(c.x_axis.in), int(c.y.out), int(c.x_axis.out), int(c.y.before),
                   int(c.x_axis.before), shift(c.y.before), shift(c.x_axis.before), int(c.y.taps),
                   int(c.x_axis.taps), c.flip};
  T* out = static_cast<T*>(c.out);
  const T* in = static_cast<const T*>(c.x);
  const A* f = static_cast<const A*>(c.f);
  if (!c.channels_last) {
    const int64_t planes = c.batch * c.channels;
    const dim3 grid((g.out_w + g.shift_x + 63) / 64, (g.out_h + g.shift_y + 4 * R - 1) / (4 * R),
                    unsigned(planes < 65535 ? planes : 65535));
    UNMASK_LAUNCH((tile_kernel<T, UP, DOWN, R>), grid, dim3(256), stream, out, in, f, A(c.gain), g, planes);
    return;
  }
  const bool wide = c.channels % N == 0 && uintptr_t(out) % 16 == 0 && uintptr_t(in) % 16 == 0;
  const int packs = int(wide ? c.channels / N : c.channels);
  const int64_t strips = (g.out_h + g.shift_y + 3) / 4, total = c.batch * strips * g.out_w * packs;
  const dim3 grid(unsigned((total + 255) / 256));
  if (wide) {
    UNMASK_LAUNCH((strip_kernel<T, UP, DOWN, 4, N>), grid, dim3(256), stream, out, in, f, A(c.gain), g, packs, total);
  } else {
    UNMASK_LAUNCH((strip_kernel<T, UP, DOWN, 4, 1>), grid, dim3(256), stream, out, in, f, A(c.gain), g, packs, total);
  }
}

template <typename T>
cudaError_t launch_typed(const UpFirDnCall& c, cudaStream_t stream) {
  const Axis &y = c.y, &x = c.x_axis;
  const bool even = y.up == x.up && y.down == x.down, few = c.separable && y.taps <= kTaps && x.taps <= kTaps;
  const int64_t total = c.batch * c.channels * y.out * x.out;
  // Twice as much is an int still; a grid has at most 65535 blocks of 16 rows, and a phase may come before the first.
  constexpr int64_t most = int64_t(1) << 30;
  auto near = [](const Axis& a) { return -most < a.before && a.before < most; };
  const bool fits = total < most && y.in * x.in < most && near(y) && near(x) && y.out < 65535 * 16;
  if (few && even && fits && y.up == 1 && y.down == 1) {
    launch_small<T, 1, 1>(c, stream);
  } else if (few && even && fits && y.up == 2 && y.down == 1) {
    launch_small<T, 2, 1>(c, stream);
  } else if (few && even && fits && y.up == 1 && y.down == 2) {
    launch_small<T, 1, 2>(c, stream);
  } else {
    const int64_t blocks = (total + 255) / 256, most = int64_t(1) << 30;
    const dim3 grid(unsigned(blocks < most ? blocks : most));
    using A = typename Wide<T>::type;
    UNMASK_LAUNCH((any_kernel<T>), grid, dim3(256), stream, static_cast<T*>(c.out), static_cast<const T*>(c.x),
                  static_cast<const A*>(c.f), c, total);
  }
  return cudaGetLastError();
}

}  // namespace

cudaError_t launch_upfirdn2d(const UpFirDnCall& call, cudaStream_t stream) {
  if (call.batch * call.channels * call.y.out * call.x_axis.out == 0) return cudaSuccess;
  switch (call.type) {
    case Type::f64: return launch_typed<double>(call, stream);
    case Type::f32: return launch_typed<float>(call, stream);
    case Type::f16: return launch_typed<__half>(call, stream);
    case Type::bf16: return launch_typed<__nv_bfloat16>(call, stream);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace unmask
