// bias_act on the CPU: bias, activation, gain and clamp in one pass over memory, in any dense layout.

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/cpu/vec/functional.h>
#include <ATen/cpu/vec/vec.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <algorithm>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "common.h"
#include "layout.h"

namespace unmask {
namespace {

using at::vec::Vectorized;

template <typename T>
using Acc = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <Act A, typename V>
inline V value(const V& u) {
  const V zero(0), one(1);
  if constexpr (A == Act::relu) return at::vec::maximum(u, zero);
  if constexpr (A == Act::lrelu) return at::vec::maximum(u, u * V(kSlope));
  if constexpr (A == Act::tanh) return u.tanh();
  if constexpr (A == Act::sigmoid) return one / (one + u.neg().exp());
  if constexpr (A == Act::elu) return V::blendv(u.expm1(), u, u > zero);
  if constexpr (A == Act::selu) return V(kSeluScale) * V::blendv(V(kSeluAlpha) * u.expm1(), u, u > zero);
  if constexpr (A == Act::softplus) return at::vec::maximum(u, zero) + u.abs().neg().exp().log1p();
  if constexpr (A == Act::swish) return u / (one + u.neg().exp());
  return u;
}

template <Act A, typename V>
inline V first_derivative(const V& u) {
  const V zero(0), one(1);
  if constexpr (A == Act::relu) return V::blendv(zero, one, u > zero);
  if constexpr (A == Act::lrelu) return V::blendv(V(kSlope), one, u > zero);
  if constexpr (A == Act::elu) return V::blendv(u.exp(), one, u > zero);
  if constexpr (A == Act::selu) return V(kSeluScale) * V::blendv(V(kSeluAlpha) * u.exp(), one, u > zero);
  if constexpr (A == Act::tanh) {
    const V t = u.tanh();
    return one - t * t;
  }
  const V s = value<Act::sigmoid>(u);
  if constexpr (A == Act::sigmoid) return s * (one - s);
  if constexpr (A == Act::softplus) return s;
  if constexpr (A == Act::swish) return s + u * s * (one - s);
  return one;
}

template <Act A, typename V>
inline V second_derivative(const V& u) {
  const V zero(0), one(1), two(2);
  if constexpr (A == Act::elu) return V::blendv(u.exp(), zero, u > zero);
  if constexpr (A == Act::selu) return V(kSeluScale * kSeluAlpha) * V::blendv(u.exp(), zero, u > zero);
  if constexpr (A == Act::tanh) {
    const V t = u.tanh();
    return two * t * (t * t - one);
  }
  const V s = value<Act::sigmoid>(u), slope = s * (one - s);
  if constexpr (A == Act::sigmoid) return slope * (one - two * s);
  if constexpr (A == Act::softplus) return slope;
  if constexpr (A == Act::swish) return slope * (two + u * (one - two * s));
  return zero;
}

// The smooth activations share their loops, which keeps the build short: a switch costs little beside exp().
#define UNMASK_SMOOTH(function)                                        \
  switch (act) {                                                       \
    case Act::tanh: return function<Act::tanh>(u);                     \
    case Act::sigmoid: return function<Act::sigmoid>(u);               \
    case Act::elu: return function<Act::elu>(u);                       \
    case Act::selu: return function<Act::selu>(u);                     \
    case Act::softplus: return function<Act::softplus>(u);             \
    case Act::swish: return function<Act::swish>(u);                   \
    default: return function<A>(u);                                    \
  }

template <Act A, typename V>
inline V value_of(Act act, const V& u) {
  if constexpr (A != Act::unknown) {
    return value<A>(u);
  } else {
    UNMASK_SMOOTH(value)
  }
}

template <Act A, typename V>
inline V first_derivative_of(Act act, const V& u) {
  if constexpr (A != Act::unknown) {
    return first_derivative<A>(u);
  } else {
    UNMASK_SMOOTH(first_derivative)
  }
}

template <Act A, typename V>
inline V second_derivative_of(Act act, const V& u) {
  if constexpr (A != Act::unknown) {
    return second_derivative<A>(u);
  } else {
    UNMASK_SMOOTH(second_derivative)
  }
}

// What is done to one vector; `order` is the derivative, `from_output` says what `x` is (see schema.cpp), and
// Act::unknown stands for the smooth one that `act` names.
template <Act A, int order, bool from_output, typename V>
struct Formula {
  Act act;
  V gain, clamp;
  bool clips;

  V operator()(const V& x, const V& b, const V& g, const V& h) const {
    const V u = from_output ? x : x + b;
    if constexpr (order == 0) {
      const V y = value_of<A>(act, u) * gain;
      return clips ? at::vec::minimum(at::vec::maximum(y, clamp.neg()), clamp) : y;
    } else if constexpr (order == 2 && A != Act::unknown) {
      return V(0);
    } else {
      V d = g * gain;
      if constexpr (order == 1) d = d * first_derivative_of<A>(act, u);
      if constexpr (order == 2) d = d * h * second_derivative_of<A>(act, u);
      if (clips) {
        const V y = from_output ? x : value_of<A>(act, u) * gain;
        d = V::blendv(V(0), d, y.abs() < clamp);
      }
      return d;
    }
  }
};

// A vector of T as one or two vectors of Acc<T>.
template <typename T>
struct Lanes {
  using V = Vectorized<Acc<T>>;
  static constexpr int64_t size = Vectorized<T>::size();
  static constexpr int parts = sizeof(Acc<T>) / sizeof(T);

  static void load(const T* p, int64_t n, V* out) {
    const auto raw = n == size ? Vectorized<T>::loadu(p) : Vectorized<T>::loadu(p, n);
    if constexpr (parts == 1) {
      out[0] = raw;
    } else {
      std::tie(out[0], out[1]) = at::vec::convert_to_float<T>(raw);
    }
  }

  static void store(T* p, int64_t n, const V* in) {
    if constexpr (parts == 1) {
      in[0].store(p, int(n));
    } else {
      at::vec::convert_from_float<T>(in[0], in[1]).store(p, int(n));
    }
  }
};

// One run of n elements that share a bias, or have one each (`biases`).
template <typename T, typename F>
inline void run(const F& f, T* out, const T* x, const T* g, const T* h, Acc<T> bias, const T* biases, int64_t n) {
  using L = Lanes<T>;
  using V = typename L::V;
  for (int64_t i = 0; i < n; i += L::size) {
    const int64_t m = std::min(L::size, n - i);
    V vx[L::parts], vb[L::parts], vg[L::parts], vh[L::parts];
    L::load(x + i, m, vx);
    for (int p = 0; p < L::parts; ++p) vb[p] = V(bias);
    if (biases) L::load(biases + i, m, vb);
    if (g) L::load(g + i, m, vg);
    if (h) L::load(h + i, m, vh);
    for (int p = 0; p < L::parts; ++p) vx[p] = f(vx[p], vb[p], vg[p], vh[p]);
    L::store(out + i, m, vx);
  }
}

template <typename T, typename F>
void sweep(const F& f, T* out, const T* x, const T* g, const T* h, const T* b, const Runs& runs) {
  auto at = [](const T* p, int64_t i) { return p ? p + i : nullptr; };
  if (runs.inner == 1 && b) {  // channels last: repeat the biases, so that the inner loop is long
    const int64_t repeats = std::max<int64_t>(1, std::min(runs.outer, 1024 / runs.channels));
    const int64_t length = repeats * runs.channels, total = runs.outer * runs.channels;
    std::vector<T> biases(length);
    for (int64_t i = 0; i < length; ++i) biases[i] = b[i % runs.channels];
    const int64_t rows = (total + length - 1) / length;
    at::parallel_for(0, rows, std::max<int64_t>(1, kGrain / length), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * length; i < std::min(total, end * length); i += length) {
        run(f, out + i, x + i, at(g, i), at(h, i), Acc<T>(0), biases.data(), std::min(length, total - i));
      }
    });
    return;
  }
  // Cut long runs, so that one large image still keeps all threads busy.
  const int64_t piece = std::min<int64_t>(runs.inner, 16384), pieces = (runs.inner + piece - 1) / piece;
  const int64_t grain = std::max<int64_t>(1, kGrain / piece);
  at::parallel_for(0, runs.outer * runs.channels * pieces, grain, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      const int64_t row = j / pieces, start = (j % pieces) * piece, i = row * runs.inner + start;
      const Acc<T> bias = b ? Acc<T>(b[row % runs.channels]) : Acc<T>(0);
      run(f, out + i, x + i, at(g, i), at(h, i), bias, (const T*)nullptr, std::min(piece, runs.inner - start));
    }
  });
}

struct Call {
  at::Tensor out, x;
  std::optional<at::Tensor> g, h, b;
  Runs runs;
  Act act;
  double gain, clamp;
};

template <Act A, int order, bool from_output>
void launch(const Call& c) {
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, c.x.scalar_type(), "bias_act", [&] {
    using V = typename Lanes<scalar_t>::V;
    using A_t = Acc<scalar_t>;
    const scalar_t clamp(A_t(std::max(c.clamp, 0.0)));  // as a clipped output has it
    const Formula<A, order, from_output, V> f{c.act, V(A_t(c.gain)), V(A_t(clamp)), c.clamp >= 0};
    auto pointer = [](const std::optional<at::Tensor>& t) { return t ? t->const_data_ptr<scalar_t>() : nullptr; };
    sweep<scalar_t>(f, c.out.mutable_data_ptr<scalar_t>(), c.x.const_data_ptr<scalar_t>(), pointer(c.g),
                    pointer(c.h), pointer(c.b), c.runs);
  });
}

template <Act A>
void choose_order(const Call& c, bool from_output) {
  if (!c.g) return launch<A, 0, false>(c);
  if (c.h) return launch<A, 2, false>(c);
  if constexpr (is_piecewise_linear(A)) {
    if (from_output) return launch<A, 1, true>(c);
  }
  launch<A, 1, false>(c);
}

void choose_act(const Call& c, bool from_output) {
  switch (c.act) {
    case Act::linear: return choose_order<Act::linear>(c, from_output);
    case Act::relu: return choose_order<Act::relu>(c, from_output);
    case Act::lrelu: return choose_order<Act::lrelu>(c, from_output);
    default: return choose_order<Act::unknown>(c, false);
  }
}

at::Tensor compute(const at::Tensor& x, const std::optional<at::Tensor>& g, const std::optional<at::Tensor>& h,
                   const std::optional<at::Tensor>& b, int64_t dim, c10::string_view act, bool from_output,
                   double gain, double clamp) {
  const Act a = parse_act(std::string(act).c_str());
  TORCH_CHECK(a != Act::unknown, "unknown activation ", act);
  TORCH_CHECK(!from_output || (is_piecewise_linear(a) && gain > 0), "the output of ", act,
              " does not tell its derivative");
  if (b) check_bias(x, *b, dim);
  Call c{at::empty_like(x), {}, {}, {}, {}, {}, a, gain, clamp};
  c.runs = runs_of(c.out, b.has_value() && !from_output, dim);
  c.x = laid_out_as(x, c.out);
  if (g) c.g = laid_out_as(*g, c.out);
  if (h) c.h = laid_out_as(*h, c.out);
  if (b && !from_output) c.b = b->contiguous();
  if (x.numel() > 0) choose_act(c, from_output);
  return c.out;
}

at::Tensor bias_act(const at::Tensor& x, const std::optional<at::Tensor>& b, int64_t dim, c10::string_view act,
                    double gain, double clamp) {
  return compute(x, {}, {}, b, dim, act, false, gain, clamp);
}

at::Tensor bias_act_grad(const at::Tensor& g, const std::optional<at::Tensor>& h, const at::Tensor& ref,
                         const std::optional<at::Tensor>& b, int64_t dim, c10::string_view act, bool from_output,
                         double gain, double clamp) {
  return compute(ref, g, h, b, dim, act, from_output, gain, clamp);
}

}  // namespace

TORCH_LIBRARY_IMPL(unmask, CPU, m) {
  m.impl("bias_act", &bias_act);
  m.impl("bias_act_grad", &bias_act_grad);
}

}  // namespace unmask
