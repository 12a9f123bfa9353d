// bias_act on CUDA: one pass over memory, sixteen bytes to a thread and step where the layout allows it.

#include <initializer_list>

#include "cuda_kernels.h"

#ifndef UNMASK_PART  // elements to a launch, a multiple of 8 whose double fits 32 bits; the tests take few
#define UNMASK_PART (int64_t(1) << 30)
#endif

namespace unmask {
namespace {

template <typename A>
struct Settings {
  Act act;
  int order;
  bool from_output, clips;
  A gain, clamp;
};

template <typename A>
__device__ inline A sigmoid(A u) {
  return A(1) / (A(1) + exp(-u));
}

template <typename A>
__device__ inline A value(Act act, A u) {
  switch (act) {
    case Act::relu: return u > 0 ? u : (u == u ? A(0) : u);
    case Act::lrelu: return u > 0 ? u : u * A(kSlope);
    case Act::tanh: return tanh(u);
    case Act::sigmoid: return sigmoid(u);
    case Act::elu: return u > 0 ? u : expm1(u);
    case Act::selu: return A(kSeluScale) * (u > 0 ? u : A(kSeluAlpha) * expm1(u));
    case Act::softplus: return (u > 0 ? u : A(0)) + log1p(exp(u > 0 ? -u : u));
    case Act::swish: return u * sigmoid(u);
    default: return u;
  }
}

template <typename A>
__device__ inline A first_derivative(Act act, A u) {
  switch (act) {
    case Act::relu: return u > 0 ? A(1) : A(0);
    case Act::lrelu: return u > 0 ? A(1) : A(kSlope);
    case Act::tanh: return A(1) - tanh(u) * tanh(u);
    case Act::sigmoid: return sigmoid(u) * (A(1) - sigmoid(u));
    case Act::elu: return u > 0 ? A(1) : exp(u);
    case Act::selu: return A(kSeluScale) * (u > 0 ? A(1) : A(kSeluAlpha) * exp(u));
    case Act::softplus: return sigmoid(u);
    case Act::swish: return sigmoid(u) * (A(1) + u * (A(1) - sigmoid(u)));
    default: return A(1);
  }
}

template <typename A>
__device__ inline A second_derivative(Act act, A u) {
  const A s = sigmoid(u), slope = s * (A(1) - s);
  switch (act) {
    case Act::tanh: return A(2) * tanh(u) * (tanh(u) * tanh(u) - A(1));
    case Act::sigmoid: return slope * (A(1) - A(2) * s);
    case Act::elu: return u > 0 ? A(0) : exp(u);
    case Act::selu: return u > 0 ? A(0) : A(kSeluScale * kSeluAlpha) * exp(u);
    case Act::softplus: return slope;
    case Act::swish: return slope * (A(2) + u * (A(1) - A(2) * s));
    default: return A(0);
  }
}

template <bool simple, typename A>
__device__ inline A formula(const Settings<A>& s, A x, A b, A g, A h) {
  const Act act = simple && s.act != Act::relu && s.act != Act::lrelu ? Act::linear : s.act;
  const A u = s.from_output ? x : x + b;
  if (s.order == 0) {
    const A y = value(act, u) * s.gain;
    return s.clips ? (y > s.clamp ? s.clamp : (y < -s.clamp ? -s.clamp : y)) : y;
  }
  if (s.clips) {
    const A y = s.from_output ? x : value(act, u) * s.gain;
    if (!(y < s.clamp && y > -s.clamp)) return A(0);
  }
  return g * s.gain * (s.order == 1 ? first_derivative(act, u) : h * second_derivative(act, u));
}

template <typename T>
struct Bias {  // the first element of a launch is number `offset` of `inner` that share the bias number `channel`
  const T* values;
  uint32_t channels, inner, channel, offset;
};

// N elements to a step; they share a channel, or (inner == 1) have N channels in a row.
template <typename T, int N, bool simple, typename A>
__global__ void bias_act_kernel(Settings<A> s, Bias<T> b, T* out, const T* x, const T* g, const T* h, uint32_t steps) {
  using P = Pack<T, N>;
  using W = Wide<T>;
  for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < steps; i += gridDim.x * blockDim.x) {
    P vx = reinterpret_cast<const P*>(x)[i], vg{}, vh{}, vb{};
    if (g) vg = reinterpret_cast<const P*>(g)[i];
    if (h) vh = reinterpret_cast<const P*>(h)[i];
    if (b.values) {
      const uint32_t channel = (b.channel + (b.offset + i * N) / b.inner) % b.channels;
      for (int k = 0; k < N; ++k) vb.v[k] = b.values[b.inner == 1 ? channel + k : channel];
    }
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const A x_k = W::widen(vx.v[k]), b_k = W::widen(vb.v[k]), g_k = W::widen(vg.v[k]), h_k = W::widen(vh.v[k]);
      vx.v[k] = W::narrow(formula<simple>(s, x_k, b_k, g_k, h_k));
    }
    reinterpret_cast<P*>(out)[i] = vx;
  }
}

template <typename T, int N>
void launch(const BiasActCall& c, int64_t channels, int64_t inner, int64_t begin, int64_t n, cudaStream_t stream) {
  using A = typename Wide<T>::type;
  auto at = [&](const void* p) { return p ? static_cast<const T*>(p) + begin : nullptr; };
  const A clamp = Wide<T>::widen(Wide<T>::narrow(A(c.clamp)));  // as a clipped output has it
  const Settings<A> s{c.act, c.order, c.from_output, c.clamp >= 0, A(c.gain), clamp};
  const Bias<T> b{static_cast<const T*>(c.b), uint32_t(channels), uint32_t(inner), uint32_t(begin / inner % channels),
                  uint32_t(begin % inner)};
  const uint32_t steps = uint32_t(n / N), threads = 256, blocks = (steps + threads - 1) / threads;
  T* out = static_cast<T*>(c.out) + begin;
  const T *x = at(c.x), *g = at(c.g), *h = at(c.h);
  if (is_piecewise_linear(c.act)) {
    UNMASK_LAUNCH((bias_act_kernel<T, N, true, A>), blocks, threads, stream, s, b, out, x, g, h, steps);
  } else {
    UNMASK_LAUNCH((bias_act_kernel<T, N, false, A>), blocks, threads, stream, s, b, out, x, g, h, steps);
  }
}

template <typename T>
cudaError_t launch_typed(const BiasActCall& c, cudaStream_t stream) {
  constexpr int N = 16 / sizeof(T);
  constexpr int64_t part = UNMASK_PART, most = int64_t(1) << 31;
  const bool counted = c.b && c.channels > 1;
  const int64_t channels = counted ? c.channels : 1, inner = counted ? c.inner : part;
  if (channels >= most || inner >= most) return cudaErrorInvalidValue;
  bool wide = inner % N == 0 || (inner == 1 && channels % N == 0);
  for (const void* p : {static_cast<const void*>(c.out), c.x, c.g, c.h}) wide = wide && uintptr_t(p) % 16 == 0;
  for (int64_t begin = 0; begin < c.n; begin += part) {
    const int64_t n = c.n - begin < part ? c.n - begin : part, tail = wide ? n % N : n;
    if (n > tail) launch<T, N>(c, channels, inner, begin, n - tail, stream);
    if (tail > 0) launch<T, 1>(c, channels, inner, begin + n - tail, tail, stream);
  }
  return cudaGetLastError();
}

}  // namespace

cudaError_t launch_bias_act(const BiasActCall& call, cudaStream_t stream) {
  if (call.n == 0) return cudaSuccess;
  switch (call.type) {
    case Type::f64: return launch_typed<double>(call, stream);
    case Type::f32: return launch_typed<float>(call, stream);
    case Type::f16: return launch_typed<__half>(call, stream);
    case Type::bf16: return launch_typed<__nv_bfloat16>(call, stream);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace unmask
