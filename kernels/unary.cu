// unary_{type}: dst = fn(x), n numbers of one plain type; dst may be x. f16 and
// bf16 are computed in float. Integers have neg, abs and relu; f32 alone has
// tanhcap, limit·tanh(x/limit).
// Launch: a grid that walks over the numbers. Bound: bytes of x and dst.
// measured: not yet
#include "function.cuh"
#include "plain.cuh"

struct Unary {
	uint64_t dst, x;
	int64_t n;
	int32_t fn;
	int32_t wide; // both can be read 16 bytes at a time
	float limit;
	int32_t pad;
};

template <class T> DEVICE void unary_float(const Unary &a) {
	typedef typename T::Work W;
	switch (a.fn) {
	case FN_NEG: return map<T>(a.dst, a.x, a.n, a.wide, [](W x) { return -x; });
	case FN_ABS: return map<T>(a.dst, a.x, a.n, a.wide, [](W x) { return abs_of(x); });
	case FN_EXP: return map<T>(a.dst, a.x, a.n, a.wide, [](W x) { return exp_of(x); });
	case FN_LOG: return map<T>(a.dst, a.x, a.n, a.wide, [](W x) { return log_of(x); });
	case FN_SQRT: return map<T>(a.dst, a.x, a.n, a.wide, [](W x) { return sqrt_of(x); });
	case FN_SIN: return map<T>(a.dst, a.x, a.n, 0, [](W x) { return sin_of(x); }); // these are long: one by one
	case FN_COS: return map<T>(a.dst, a.x, a.n, 0, [](W x) { return cos_of(x); });
	case FN_TANH: return map<T>(a.dst, a.x, a.n, a.wide, [](W x) { return tanh_of(x); });
	case FN_SIGMOID: return map<T>(a.dst, a.x, a.n, a.wide, [](W x) { return sigmoid(x); });
	case FN_RELU: return map<T>(a.dst, a.x, a.n, a.wide, [](W x) { return relu(x); });
	case FN_SILU: return map<T>(a.dst, a.x, a.n, a.wide, [](W x) { return silu(x); });
	case FN_GELU: return map<T>(a.dst, a.x, a.n, a.wide, [](W x) { return gelu(x); });
	case FN_GELU_ERF: return map<T>(a.dst, a.x, a.n, 0, [](W x) { return gelu_erf(x); });
	case FN_TANHCAP: {
		W limit = a.limit;
		return map<T>(a.dst, a.x, a.n, a.wide, [=](W x) { return limit * tanh_of(x / limit); });
	}
	}
}

// Negation is done without a sign, where nothing overflows.
template <class T> DEVICE void unary_integer(const Unary &a) {
	typedef typename T::Work W;
	switch (a.fn) {
	case FN_NEG: return map<T>(a.dst, a.x, a.n, a.wide, [](W x) { return (W)(0 - (uint64_t)x); });
	case FN_ABS: return map<T>(a.dst, a.x, a.n, a.wide, [](W x) { return x < 0 ? (W)(0 - (uint64_t)x) : x; });
	case FN_RELU: return map<T>(a.dst, a.x, a.n, a.wide, [](W x) { return x < 0 ? 0 : x; });
	}
}

KERNEL(unary_f32, Unary, 256, 2) { unary_float<F32>(a); }
KERNEL(unary_f64, Unary, 256, 2) { unary_float<F64>(a); }
KERNEL(unary_f16, Unary, 256, 2) { unary_float<F16>(a); }
KERNEL(unary_bf16, Unary, 256, 2) { unary_float<BF16>(a); }
KERNEL(unary_i8, Unary, 256, 2) { unary_integer<I8>(a); }
KERNEL(unary_i16, Unary, 256, 2) { unary_integer<I16>(a); }
KERNEL(unary_i32, Unary, 256, 2) { unary_integer<I32>(a); }
KERNEL(unary_i64, Unary, 256, 2) { unary_integer<I64>(a); }
