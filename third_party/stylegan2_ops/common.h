// Shared by the CPU and the CUDA side.
#pragma once

#include <cstdint>
#include <cstring>

namespace unmask {

// In the order of the names below.
enum class Act : int { linear, relu, lrelu, tanh, sigmoid, elu, selu, softplus, swish, unknown };

constexpr int64_t kGrain = 32768;  // elements that are worth a thread
constexpr double kSlope = 0.2;  // of the leaky ReLU
constexpr double kSeluScale = 1.0507009873554804934193349852946;
constexpr double kSeluAlpha = 1.6732632423543772848170429916717;

inline Act parse_act(const char* name) {
  static const char* const names[] = {"linear", "relu", "lrelu", "tanh", "sigmoid",
                                      "elu",    "selu", "softplus", "swish"};
  for (int i = 0; i < int(Act::unknown); ++i) {
    if (std::strcmp(name, names[i]) == 0) return Act(i);
  }
  return Act::unknown;
}

// The sign of the output tells the derivative of these (for a positive gain), so their input need not be kept.
constexpr bool is_piecewise_linear(Act act) { return act == Act::linear || act == Act::relu || act == Act::lrelu; }

}  // namespace unmask
