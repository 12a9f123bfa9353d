// upfirdn2d on the CPU. Every row of the output is made alone: the rows it needs are combined with the vertical
// taps into one line, and the line is filtered along. Nothing but input and output goes through memory, and the
// zeros of upsampling are never multiplied. A filter that is not separable makes one line for each of its rows.

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>

#include "common.h"
#include "upfirdn2d.h"

namespace unmask {
namespace {

constexpr int64_t kFewChannels = 8;

template <typename T>
using Acc = std::conditional_t<std::is_same_v<T, double>, double, float>;

// dst = sum_j taps[j] * src[j], K rows of n samples; added to what is there where `add` says so.
template <int K, typename D, typename A, typename S>
void combine(D* dst, const std::array<const S*, 4>& src, const std::array<A, 4>& taps, int64_t n, bool add) {
  auto sum = [&](int64_t i) {
    A a = taps[0] * A(src[0][i]);
    if constexpr (K > 1) a += taps[1] * A(src[1][i]);
    if constexpr (K > 2) a += taps[2] * A(src[2][i]);
    if constexpr (K > 3) a += taps[3] * A(src[3][i]);
    return a;
  };
  if (add) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) dst[i] = D(A(dst[i]) + sum(i));
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) dst[i] = D(sum(i));
  }
}

// The same for any number of rows, `stride` apart, and taps, `step` apart. D is not rounded in between: it has
// four rows at most or the type of the taps.
template <typename D, typename A, typename S>
void combine_all(D* dst, const S* src, int64_t stride, const A* taps, int64_t step, int64_t count, int64_t n,
                 bool add = false) {
  if (count <= 0 && !add) std::fill(dst, dst + n, D(0));
  for (int64_t j = 0; j < count; j += 4) {
    std::array<const S*, 4> rows{};
    std::array<A, 4> weights{};
    const int64_t k = std::min<int64_t>(4, count - j);
    for (int64_t i = 0; i < k; ++i) {
      rows[i] = src + (j + i) * stride;
      weights[i] = taps[(j + i) * step];
    }
    switch (k) {
      case 1: combine<1>(dst, rows, weights, n, add || j > 0); break;
      case 2: combine<2>(dst, rows, weights, n, add || j > 0); break;
      case 3: combine<3>(dst, rows, weights, n, add || j > 0); break;
      default: combine<4>(dst, rows, weights, n, add || j > 0);
    }
  }
}

// The line of a row with the zeros its filter meets on either side; `channels` samples to a position.
template <typename A>
struct Line {
  int64_t left, width, channels;
  std::vector<A> data, even, odd, sum;

  Line(const Axis& x, int64_t channels) : channels(channels) {
    const auto first = x.start(0), last = x.start(x.out - 1);
    // One position more at either end: every phase may start one sample apart from the first and last output.
    left = std::max<int64_t>(0, -first.source) + 1;
    const int64_t end = std::max(last.source + (x.taps + x.up - 1) / x.up + 1, x.in);
    width = left + end + 1;
    data.assign(width * channels, A(0));
  }
  A* inside() { return data.data() + left * channels; }
  const A* at(int64_t position) const { return data.data() + (left + position) * channels; }
};

template <typename D, typename A>
inline void put(D* dst, A value, bool add) {
  *dst = add ? D(A(*dst) + value) : D(value);
}

// Up by two: outputs of either parity are filters of their own, half as long.
template <int K, typename D, typename A>
void along_up2(D* dst, const A* s0, const A* s1, const A* taps0, const A* taps1, int64_t pairs, bool add) {
  auto pass = [&](auto adding) {
#pragma omp simd
    for (int64_t i = 0; i < pairs; ++i) {
      A a = 0, b = 0;
      for (int j = 0; j < K; ++j) {
        a += taps0[2 * j] * s0[i + j];
        b += taps1[2 * j] * s1[i + j];
      }
      dst[2 * i] = D(adding ? A(dst[2 * i]) + a : a);
      dst[2 * i + 1] = D(adding ? A(dst[2 * i + 1]) + b : b);
    }
  };
  add ? pass(std::true_type{}) : pass(std::false_type{});
}

// One output at a time, whatever the factors are.
template <typename D, typename A>
void along_any(D* dst, const Line<A>& line, const Axis& x, const A* taps, int64_t begin, bool add) {
  for (int64_t o = begin; o < x.out; ++o) {
    const auto s = x.start(o);
    const int64_t count = x.count(s);
    const A* src = line.at(s.source);
    A sum = 0;
    for (int64_t j = 0; j < count; ++j) sum += taps[s.first + j * x.up] * src[j];
    put(dst + o, sum, add);
  }
}

// Filter a line along: one channel, neighbors in memory are neighbors in the image.
template <typename D, typename A>
void along(D* dst, Line<A>& line, const Axis& x, const A* taps, bool add) {
  if (x.up == 1 && x.down == 1) return combine_all(dst, line.at(-x.before), 1, taps, 1, x.taps, x.out, add);
  if (x.up == 1 && x.down == 2) {  // split into even and odd positions, then two filters without strides
    const A* src = line.at(-x.before);
    const int64_t n = (2 * (x.out - 1) + x.taps + 1) / 2;
    line.even.resize(n);
    line.odd.resize(n);
    A *even = line.even.data(), *odd = line.odd.data();
    const int64_t whole = std::min<int64_t>(n, (line.data.data() + line.data.size() - src) / 2);
#pragma omp simd
    for (int64_t i = 0; i < whole; ++i) {
      even[i] = src[2 * i];
      odd[i] = src[2 * i + 1];
    }
    for (int64_t i = whole; i < n; ++i) {
      even[i] = src + 2 * i < line.data.data() + line.data.size() ? src[2 * i] : A(0);
      odd[i] = A(0);
    }
    if (x.taps == 4) {
      return combine<4>(dst, std::array<const A*, 4>{even, odd, even + 1, odd + 1},
                        std::array<A, 4>{taps[0], taps[1], taps[2], taps[3]}, x.out, add);
    }
    line.sum.resize(x.out);
    combine_all(line.sum.data(), even, 1, taps, 2, (x.taps + 1) / 2, x.out);
    combine_all(line.sum.data(), odd, 1, taps + 1, 2, x.taps / 2, x.out, true);
    return combine_all(dst, line.sum.data(), 0, std::array<A, 1>{A(1)}.data(), 0, 1, x.out, add);
  }
  if (x.up == 2 && x.down == 1 && x.taps == 4) {
    const auto s0 = x.start(0), s1 = x.start(1);
    const int64_t pairs = x.out / 2;
    along_up2<2>(dst, line.at(s0.source), line.at(s1.source), taps + s0.first, taps + s1.first, pairs, add);
    return along_any(dst, line, x, taps, 2 * pairs, add);
  }
  along_any(dst, line, x, taps, 0, add);
}

// Every `out_step`-th position of dst from K neighboring positions of src, which moves on by `in_step`.
template <int K, typename D, typename A>
void along_phase(D* dst, const A* src, const A* taps, int64_t step, int64_t n, int64_t c, int64_t in_step,
                 int64_t out_step, bool add) {
  std::array<A, K> t;
  for (int k = 0; k < K; ++k) t[k] = taps[k * step];
  auto pass = [&](auto adding) {
    for (int64_t o = 0; o < n; ++o) {
      const A* s = src + o * in_step * c;
      D* d = dst + o * out_step * c;
#pragma omp simd
      for (int64_t i = 0; i < c; ++i) {
        A sum = 0;
        for (int k = 0; k < K; ++k) sum += t[k] * s[k * c + i];
        d[i] = D(adding ? A(d[i]) + sum : sum);
      }
    }
  };
  add ? pass(std::true_type{}) : pass(std::false_type{});
}

// The same as `along` where the channels of a position are neighbors in memory.
template <typename D, typename A>
void along_channels(D* dst, const Line<A>& line, const Axis& x, const A* taps, bool add) {
  const int64_t c = line.channels;
  if (x.up == 1 && x.down == 1) return combine_all(dst, line.at(-x.before), c, taps, 1, x.taps, x.out * c, add);
  const bool halves = x.up == 2 && x.down == 1;
  if (x.taps == 4 && (halves || x.up == 1)) {
    for (int64_t p = 0; p < std::min(x.up, x.out); ++p) {
      const Start s = x.start(p);
      const int64_t n = (x.out - p + x.up - 1) / x.up;
      const A *src = line.at(s.source), *t = taps + s.first;
      halves ? along_phase<2>(dst + p * c, src, t, 2, n, c, 1, 2, add)
             : along_phase<4>(dst, src, t, 1, n, c, x.down, 1, add);
    }
    return;
  }
  for (int64_t o = 0; o < x.out; ++o) {
    const auto s = x.start(o);
    combine_all(dst + o * c, line.at(s.source), c, taps + s.first, x.up, x.count(s), c, add);
  }
}

// One row of the output from one image. A sample has `channels` values and a row is in * channels long.
template <typename T, typename A>
void make_row(T* dst, const T* image, int64_t row, const Plan& plan, const A* taps, Line<A>& line) {
  const int64_t n = plan.x.in * line.channels;
  Start start = plan.y.start(row);
  const int64_t count = plan.y.clip(start);
  auto filter = [&](auto* out, const A* f, bool add) {
    line.channels == 1 ? along(out, line, plan.x, f, add) : along_channels(out, line, plan.x, f, add);
  };
  const T* source = image + start.source * n;
  if (plan.separable) {
    combine_all(line.inside(), source, n, taps + start.first, plan.y.up, count, n);
    constexpr bool exact = std::is_same_v<T, A>;
    if (exact || (plan.x.taps + plan.x.up - 1) / plan.x.up <= 4) return filter(dst, taps + plan.y.taps, false);
  }
  // Longer sums are kept in A until they are whole.
  std::vector<A> sum(plan.x.out * line.channels, A(0));
  if (plan.separable) filter(sum.data(), taps + plan.y.taps, false);
  for (int64_t j = 0; j < (plan.separable ? 0 : count); ++j) {
    const T* in = source + j * n;
    std::copy(in, in + n, line.inside());
    filter(sum.data(), taps + (start.first + j * plan.y.up) * plan.x.taps, true);
  }
  std::transform(sum.begin(), sum.end(), dst, [](A v) { return T(v); });
}

template <typename T>
void compute(const at::Tensor& out, const at::Tensor& x, const Plan& plan, bool channels_last) {
  using A = Acc<T>;
  const std::vector<A> taps(plan.taps.begin(), plan.taps.end());
  const int64_t channels = channels_last ? x.size(1) : 1;
  const int64_t images = channels_last ? x.size(0) : x.size(0) * x.size(1);
  const int64_t size = plan.y.in * plan.x.in * channels, length = plan.x.out * channels;
  const T* src = x.const_data_ptr<T>();
  T* dst = out.mutable_data_ptr<T>();
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, 2 * length));
  at::parallel_for(0, images * plan.y.out, grain, [&](int64_t begin, int64_t end) {
    Line<A> line(plan.x, channels);
    for (int64_t j = begin; j < end; ++j) {
      make_row(dst + j * length, src + (j / plan.y.out) * size, j % plan.y.out, plan, taps.data(), line);
    }
  });
}

at::Tensor upfirdn2d(const at::Tensor& x, const at::Tensor& f, at::IntArrayRef up, at::IntArrayRef down,
                     at::IntArrayRef padding, bool flip, double gain) {
  const Plan plan = make_plan(x, f, up, down, padding, flip, gain);
  const auto asked = x.suggest_memory_format();
  // With a few channels, such as those of a picture, long rows are worth the two changes of format.
  const auto format = x.size(1) < kFewChannels ? at::MemoryFormat::Contiguous : asked;
  const at::Tensor dense = x.contiguous(format);
  const at::Tensor out =
      at::empty({x.size(0), x.size(1), plan.y.out, plan.x.out}, x.options().memory_format(format));
  if (out.numel() == 0) return out.contiguous(asked);
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "upfirdn2d", [&] {
    compute<scalar_t>(out, dense, plan, format == at::MemoryFormat::ChannelsLast);
  });
  return out.contiguous(asked);
}

}  // namespace

TORCH_LIBRARY_IMPL(unmask, CPU, m) { m.impl("upfirdn2d", &upfirdn2d); }

}  // namespace unmask
