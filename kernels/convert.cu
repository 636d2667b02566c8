// Convert: dst = x in another type.
//
//	convert_floats   among f32, f16 and bf16; 8 numbers a thread
//	convert_plain    among all plain types; a number a thread. Integers keep
//	                 their low bits when they go into smaller ones; floats lose
//	                 their fraction and stay within an integer, NaN is 0
//	convert_{type}   plain x to q4_0, q4_1, q5_0, q5_1, q8_0: package tensor's
//	                 encoders to the bit; a lane a block, which the warp loads
//	                 through shared memory
//
// From quantised types rows.cu converts.
// Launch: ceil(n / 2048), ceil(n / 256), ceil(n / 128) blocks of 256, 256, 128
// threads; n numbers, or blocks.
// Bound: memory.
// measured: not yet
#include "cuda.cuh"
#include "format.cuh"
#include "number.cuh"

struct ConvertArgs {
	uint64_t dst, x;
	int64_t n;
	int32_t to, from; // types
};

DEVICE float float_at(uint64_t p, int type, int64_t i) {
	if (type == F32) return plain_number<F32>((const char *)p, i);
	if (type == F16) return plain_number<F16>((const char *)p, i);
	return plain_number<BF16>((const char *)p, i);
}

KERNEL(convert_floats, ConvertArgs, 256, 1) {
	int64_t begin = ((int64_t)blockIdx.x * 256 + threadIdx.x) * 8;
	if (begin + 8 > a.n || (a.dst | a.x) % 16 != 0) {
		for (int64_t i = begin; i < begin + 8 && i < a.n; i++) put_number((void *)a.dst, a.to, i, float_at(a.x, a.from, i));
		return;
	}
	float v[8];
	if (a.from == F32) {
		const char *x = (const char *)a.x + 4 * begin;
		uint4 lo = load16(x), hi = load16(x + 16);
		v[0] = __uint_as_float(lo.x), v[1] = __uint_as_float(lo.y), v[2] = __uint_as_float(lo.z), v[3] = __uint_as_float(lo.w);
		v[4] = __uint_as_float(hi.x), v[5] = __uint_as_float(hi.y), v[6] = __uint_as_float(hi.z), v[7] = __uint_as_float(hi.w);
	} else {
		uint4 x = load16((const char *)a.x + 2 * begin);
		uint32_t w[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
		for (int i = 0; i < 4; i++) {
			v[2 * i] = a.from == F16 ? low_half(w[i]) : __uint_as_float(w[i] << 16);
			v[2 * i + 1] = a.from == F16 ? high_half(w[i]) : __uint_as_float(w[i] & 0xffff0000);
		}
	}
	if (a.to == F32) {
		float4 *to = (float4 *)((float *)a.dst + begin);
		to[0] = make_float4(v[0], v[1], v[2], v[3]);
		to[1] = make_float4(v[4], v[5], v[6], v[7]);
		return;
	}
	uint32_t w[4];
#pragma unroll
	for (int i = 0; i < 4; i++)
		w[i] = a.to == F16 ? pack_h2(v[2 * i], v[2 * i + 1]) : (uint32_t)f2bf(v[2 * i + 1]) << 16 | f2bf(v[2 * i]);
	*(uint4 *)((uint16_t *)a.dst + begin) = make_uint4(w[0], w[1], w[2], w[3]);
}

DEVICE bool is_integer(int type) { return type >= I8 && type <= I64; }

DEVICE int64_t integer_at(uint64_t p, int type, int64_t i) {
	switch (type) {
	case I8: return ((const int8_t *)p)[i];
	case I16: return ((const int16_t *)p)[i];
	case I32: return ((const int32_t *)p)[i];
	}
	return ((const int64_t *)p)[i];
}

// odd rounds to float32 so that a second rounding to fewer bits is right: a
// result that is not exact gets an odd last bit (Boldo & Melquiond 2008).
DEVICE float odd(double v) {
	float f = (float)v;
	uint32_t u = __float_as_uint(f);
	if ((double)f == v || v != v || (u & 0x7fffffff) == 0x7f800000 || (u & 1)) return f;
	bool larger = f < 0 ? (double)f < v : (double)f > v; // than v in magnitude
	return __uint_as_float(larger ? u - 1 : u + 1);
}

KERNEL(convert_plain, ConvertArgs, 256, 1) {
	int64_t i = (int64_t)blockIdx.x * 256 + threadIdx.x;
	if (i >= a.n) return;
	void *dst = (void *)a.dst;
	if (is_integer(a.from) && is_integer(a.to)) {
		put_integer(dst, a.to, i, integer_at(a.x, a.from, i));
		return;
	}
	double v = is_integer(a.from) ? (double)integer_at(a.x, a.from, i)
		: a.from == F64 ? ((const double *)a.x)[i] : (double)float_at(a.x, a.from, i);
	switch (a.to) {
	case F64: ((double *)dst)[i] = v; break;
	case F32: ((float *)dst)[i] = (float)v; break;
	case F16: case BF16: put_number(dst, a.to, i, odd(v)); break;
	default: put_integer(dst, a.to, i, truncated(v, integer_bits(a.to)));
	}
}

// level cuts the fraction of v off and clamps it; NaN is 0.
DEVICE uint32_t level(float v, float top) { return (uint32_t)(int)fminf(fmaxf(v, 0), top); }

DEVICE float inverse(float d) { return d == 0 ? 0 : 1 / d; }

DEVICE void put_words(uint16_t *to, const uint32_t *w, int n) {
#pragma unroll
	for (int i = 0; i < n; i++) to[2 * i] = (uint16_t)w[i], to[2 * i + 1] = (uint16_t)(w[i] >> 16);
}

// encode writes a block of 32 numbers.
template <int T> DEVICE void encode(uint16_t *to, const float x[32]) {
	float most = 0, of = 0, lo = x[0], hi = x[0];
#pragma unroll
	for (int i = 0; i < 32; i++) {
		if (fabsf(x[i]) > most) most = fabsf(x[i]), of = x[i];
		lo = fminf(lo, x[i]), hi = fmaxf(hi, x[i]);
	}
	constexpr bool offset = has_offset(T);
	constexpr int top = T == Q5_0 || T == Q5_1 ? 31 : 15;
	float d = T == Q8_0 ? most / 127 : offset ? (hi - lo) / top : of / -((top + 1) / 2);
	float inv = inverse(d);
	*to++ = f2h(d);
	if (offset) *to++ = f2h(lo);
	uint32_t w[8] = {0, 0, 0, 0, 0, 0, 0, 0}, h = 0;
	if constexpr (T == Q8_0) {
#pragma unroll
		for (int i = 0; i < 32; i++) w[i / 4] |= ((uint32_t)(int)roundf(__fmul_rn(x[i], inv)) & 255) << i % 4 * 8;
		put_words(to, w, 8);
	} else {
#pragma unroll
		for (int i = 0; i < 32; i++) {
			float v = offset ? __fadd_rn(__fmul_rn(x[i] - lo, inv), 0.5f) : __fadd_rn(__fmul_rn(x[i], inv), (top + 1) / 2 + 0.5f);
			uint32_t q = level(v, top);
			w[i % 16 / 4] |= (q & 15) << (i % 4 * 8 + i / 16 * 4);
			h |= q >> 4 << i;
		}
		if (top == 31) put_words(to, &h, 1), to += 2;
		put_words(to, w, 4);
	}
}

template <int T> DEVICE void convert(const ConvertArgs &a) {
	SHARED float tiles[4][32 * 33];
	int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
	float *tile = tiles[warp];
	int64_t begin = ((int64_t)blockIdx.x * 4 + warp) * 32;
#pragma unroll 4
	for (int k = 0; k < 32 && begin + k < a.n; k++) tile[33 * k + lane] = number_at((const void *)a.x, a.from, (begin + k) * 32 + lane);
	__syncwarp();
	if (begin + lane >= a.n) return;
	float x[32];
#pragma unroll
	for (int i = 0; i < 32; i++) x[i] = tile[33 * lane + i];
	encode<T>((uint16_t *)((char *)a.dst + (begin + lane) * block_bytes(T)), x);
}

KERNEL(convert_q4_0, ConvertArgs, 128, 1) { convert<Q4_0>(a); }
KERNEL(convert_q4_1, ConvertArgs, 128, 1) { convert<Q4_1>(a); }
KERNEL(convert_q5_0, ConvertArgs, 128, 1) { convert<Q5_0>(a); }
KERNEL(convert_q5_1, ConvertArgs, 128, 1) { convert<Q5_1>(a); }
KERNEL(convert_q8_0, ConvertArgs, 128, 1) { convert<Q8_0>(a); }
