// The CUDA kernels as PyTorch operators: checks, layouts, the current stream.

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <optional>
#include <string>

#include "cuda_kernels.h"
#include "layout.h"
#include "upfirdn2d.h"

namespace unmask {
namespace {

Type type_of(const at::Tensor& x) {
  switch (x.scalar_type()) {
    case at::kDouble: return Type::f64;
    case at::kFloat: return Type::f32;
    case at::kHalf: return Type::f16;
    case at::kBFloat16: return Type::bf16;
    default: TORCH_CHECK(false, "there are no kernels for ", x.scalar_type());
  }
}

at::Tensor compute(const at::Tensor& x, const std::optional<at::Tensor>& g, const std::optional<at::Tensor>& h,
                   const std::optional<at::Tensor>& b, int64_t dim, c10::string_view name, bool from_output,
                   double gain, double clamp) {
  const c10::cuda::CUDAGuard guard(x.device());
  const Act act = parse_act(std::string(name).c_str());
  TORCH_CHECK(act != Act::unknown, "unknown activation ", name);
  TORCH_CHECK(!from_output || (is_piecewise_linear(act) && gain > 0), "the output of ", name,
              " does not tell its derivative");
  if (b) check_bias(x, *b, dim);
  const bool biased = b.has_value() && !from_output;
  const at::Tensor out = at::empty_like(x), dense = laid_out_as(x, out);
  std::optional<at::Tensor> dg, dh, db;
  if (g) dg = laid_out_as(*g, out);
  if (h) dh = laid_out_as(*h, out);
  if (biased) db = b->contiguous();
  const Runs runs = runs_of(out, biased, dim);
  auto pointer = [](const std::optional<at::Tensor>& t) { return t ? t->const_data_ptr() : nullptr; };
  const int order = !g ? 0 : (!h ? 1 : 2);
  const BiasActCall call{type_of(x), act, order, from_output, out.mutable_data_ptr(), dense.const_data_ptr(),
                         pointer(dg), pointer(dh), pointer(db), out.numel(), runs.channels, runs.inner, gain, clamp};
  C10_CUDA_CHECK(launch_bias_act(call, c10::cuda::getCurrentCUDAStream()));
  return out;
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

at::Tensor upfirdn2d(const at::Tensor& x, const at::Tensor& f, at::IntArrayRef up, at::IntArrayRef down,
                     at::IntArrayRef padding, bool flip, double gain) {
  const c10::cuda::CUDAGuard guard(x.device());
  check_arguments(x, f, up, down, padding);
  const Axis y = make_axis(x.size(2), up[0], down[0], padding[2], padding[3], f.size(0));
  const Axis width = make_axis(x.size(3), up[1], down[1], padding[0], padding[1], f.size(-1));
  const auto format = x.suggest_memory_format();
  const at::Tensor dense = x.contiguous(format);
  const at::Tensor out = at::empty({x.size(0), x.size(1), y.out, width.out}, x.options().memory_format(format));
  // The taps stay on the device, so that no call waits for it.
  const at::Tensor taps = f.to(x.device(), x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat).contiguous();
  const UpFirDnCall call{type_of(x), format == at::MemoryFormat::ChannelsLast, f.dim() == 1, flip,
                         out.mutable_data_ptr(), dense.const_data_ptr(), taps.const_data_ptr(), x.size(0), x.size(1),
                         y, width, gain};
  C10_CUDA_CHECK(launch_upfirdn2d(call, c10::cuda::getCurrentCUDAStream()));
  return out;
}

}  // namespace

TORCH_LIBRARY_IMPL(unmask, CUDA, m) {
  m.impl("bias_act", &bias_act);
  m.impl("bias_act_grad", &bias_act_grad);
  m.impl("upfirdn2d", &upfirdn2d);
}

}  // namespace unmask
