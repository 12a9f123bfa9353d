// One axis of upfirdn2d: y[o] = sum_k taps[k] * u[o * down - before + k], u[i * up] = x[i], u zero elsewhere.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define UNMASK_BOTH __host__ __device__
#else
#define UNMASK_BOTH
#endif

namespace unmask {

// The first tap that meets a sample, and the sample it meets; the taps first + j * up meet the samples source + j.
struct Start {
  int64_t first, source;
};

struct Axis {
  int64_t in, out, up, down, before, taps;

  UNMASK_BOTH Start start(int64_t o) const {
    const int64_t base = o * down - before, first = ((-base) % up + up) % up;
    return {first, (base + first) / up};
  }

  UNMASK_BOTH int64_t count(const Start& s) const { return s.first < taps ? (taps - s.first + up - 1) / up : 0; }

  // The same where only samples inside the image count.
  UNMASK_BOTH int64_t clip(Start& s) const {
    int64_t n = count(s);
    if (s.source < 0) {
      const int64_t outside = -s.source < n ? -s.source : n;
      s.first += outside * up;
      s.source += outside;
      n -= outside;
    }
    return s.source + n > in ? (in > s.source ? in - s.source : 0) : n;
  }
};

}  // namespace unmask
