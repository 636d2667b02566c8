// The kernels' machine for the host: what CUDA C++ has built in and what
// cuda.cuh wraps, in plain C++ that says what the PTX means. `go test ./kernels`
// compiles all kernels with it (g++ -x c++ -DEMULATE), loads them behind a
// driver library that is emulated too (internal/cuda/emulator), and runs them.
//
// It proves: results, fragment layouts, barriers that all threads reach,
// memory that is written before it is read (shared and fresh memory are NaN),
// bounds of global and dynamic shared memory, alignment, asynchronous copies
// that are waited for, launch limits.
// It cannot prove: speed, registers, memory order between blocks, all races of
// warps (it runs two orders), conversions that saturate on the card, the last
// bit of __expf and its like. The processor of the host rounds as the card
// does; products are not contracted into fmaf.
#pragma once
#include "runtime.h"

typedef unsigned char uint8_t;
typedef signed char int8_t;
typedef unsigned short uint16_t;
typedef short int16_t;
typedef unsigned int uint32_t;
typedef int int32_t;
typedef unsigned long long uint64_t;
typedef long long int64_t;
typedef __SIZE_TYPE__ size_t;

#define __device__
#define __host__
#define __constant__
#define __global__
#define __grid_constant__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)

#define DEVICE static inline
#define DEVICE_CALL static
#define SHARED static thread_local

// A kernel registers itself when its shared object is loaded. Of a file that
// is compiled in several parts each part keeps its share of the kernels.
template <bool mine> struct emu_register_here {
	emu_register_here(const char *name, void (*entry)(const void *), size_t bytes, int threads, int blocks) {
		emu_register(name, entry, bytes, threads, blocks, EMU_FILE);
	}
};
template <> struct emu_register_here<false> {
	constexpr emu_register_here(const char *, void (*)(const void *), size_t, int, int) {}
};

#define KERNEL(name, Args, threads, blocks) \
	static void kernel_##name(const Args &a); \
	static const emu_register_here<__COUNTER__ % EMU_PARTS == EMU_PART> emu_kernel_##name( \
		#name, [](const void *a) { kernel_##name(*(const Args *)a); }, sizeof(Args), threads, blocks); \
	static void kernel_##name(const Args &a)

#define EARLY_KERNEL KERNEL
DEVICE void await_before() {}

// What the thread is.

#define threadIdx (emu_self->thread)
#define blockIdx (emu_self->block)
#define blockDim (emu_self->block_dim)
#define gridDim (emu_self->grid_dim)
#define warpSize 32

DEVICE char *dynamic_shared() { return emu_self->dynamic; }

static thread_local char emu_touched;
extern "C" __attribute__((visibility("default"))) inline __attribute__((used)) void emu_touch() { *(volatile char *)&emu_touched = -1; }

// Vector types, with CUDA's sizes and alignments.

#define EMU_VECTOR(T, name, a1, a2, a4) \
	struct alignas(a1) name##1 { T x; }; \
	struct alignas(a2) name##2 { T x, y; }; \
	struct name##3 { T x, y, z; }; \
	struct alignas(a4) name##4 { T x, y, z, w; }; \
	DEVICE name##1 make_##name##1(T x) { return {x}; } \
	DEVICE name##2 make_##name##2(T x, T y) { return {x, y}; } \
	DEVICE name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; } \
	DEVICE name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMU_VECTOR(signed char, char, 1, 2, 4)
EMU_VECTOR(unsigned char, uchar, 1, 2, 4)
EMU_VECTOR(short, short, 2, 4, 8)
EMU_VECTOR(unsigned short, ushort, 2, 4, 8)
EMU_VECTOR(int, int, 4, 8, 16)
EMU_VECTOR(unsigned, uint, 4, 8, 16)
EMU_VECTOR(float, float, 4, 8, 16)
EMU_VECTOR(long long, longlong, 8, 16, 16)
EMU_VECTOR(unsigned long long, ulonglong, 8, 16, 16)
EMU_VECTOR(double, double, 8, 16, 16)
struct dim3 {
	unsigned x, y, z;
	dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

// Reinterpretation and conversion.

template <class To, class From> DEVICE To emu_bits(From v) {
	static_assert(sizeof(To) == sizeof(From), "sizes differ");
	To to;
	__builtin_memcpy(&to, &v, sizeof to);
	return to;
}
DEVICE unsigned __float_as_uint(float f) { return emu_bits<unsigned>(f); }
DEVICE int __float_as_int(float f) { return emu_bits<int>(f); }
DEVICE float __uint_as_float(unsigned u) { return emu_bits<float>(u); }
DEVICE float __int_as_float(int i) { return emu_bits<float>(i); }
DEVICE long long __double_as_longlong(double d) { return emu_bits<long long>(d); }
DEVICE double __longlong_as_double(long long i) { return emu_bits<double>(i); }
DEVICE int __double2hiint(double d) { return emu_bits<unsigned long long>(d) >> 32; }
DEVICE int __double2loint(double d) { return (int)emu_bits<unsigned long long>(d); }
DEVICE double __hiloint2double(int hi, int lo) { return emu_bits<double>((unsigned long long)(unsigned)hi << 32 | (unsigned)lo); }

// The card's conversions to integers saturate; NaN becomes 0.
template <class I> DEVICE I emu_to_int(double d) {
	const bool is_signed = (I)-1 < (I)0;
	const int bits = sizeof(I) * 8 - is_signed;
	const I most = is_signed ? (I)((~0ull) >> (65 - sizeof(I) * 8)) : (I)~0ull;
	const double limit = 2.0 * (double)(1ull << (bits - 1));
	if (d != d) return 0;
	if (d >= limit) return most;
	if (d <= (is_signed ? -limit : 0.0)) return is_signed ? (I)(-most - 1) : 0;
	return (I)d;
}
#define EMU_ROUNDINGS(to, I, from, F) \
	DEVICE I __##from##2##to##_rn(F v) { return emu_to_int<I>(__builtin_rint(v)); } \
	DEVICE I __##from##2##to##_rz(F v) { return emu_to_int<I>(__builtin_trunc(v)); } \
	DEVICE I __##from##2##to##_rd(F v) { return emu_to_int<I>(__builtin_floor(v)); } \
	DEVICE I __##from##2##to##_ru(F v) { return emu_to_int<I>(__builtin_ceil(v)); }
EMU_ROUNDINGS(int, int, float, float)
EMU_ROUNDINGS(uint, unsigned, float, float)
EMU_ROUNDINGS(ll, long long, float, float)
EMU_ROUNDINGS(ull, unsigned long long, float, float)
EMU_ROUNDINGS(int, int, double, double)
EMU_ROUNDINGS(uint, unsigned, double, double)
EMU_ROUNDINGS(ll, long long, double, double)
EMU_ROUNDINGS(ull, unsigned long long, double, double)
DEVICE float __int2float_rn(int v) { return v; }
DEVICE float __uint2float_rn(unsigned v) { return v; }
DEVICE float __ll2float_rn(long long v) { return v; }
DEVICE float __ull2float_rn(unsigned long long v) { return v; }
DEVICE double __int2double_rn(int v) { return v; }
DEVICE double __ll2double_rn(long long v) { return v; }
DEVICE float __double2float_rn(double v) { return v; }

// h2f and f2h are exact and to nearest even; NaN becomes 0x7fff as on the card.
DEVICE float h2f(uint16_t h) {
#ifdef __F16C__
	typedef short emu_v8 __attribute__((vector_size(16)));
	emu_v8 v = {(short)h};
	return __builtin_ia32_vcvtph2ps(v)[0];
#else
	unsigned sign = (h & 0x8000u) << 16, magnitude = h & 0x7fff;
	if (magnitude >= 0x7c00) return __uint_as_float(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
	// The exponent is moved by a product, which also makes subnormal numbers normal.
	return __uint_as_float(sign | __float_as_uint(__uint_as_float(magnitude << 13) * 0x1p112f));
#endif
}
DEVICE uint16_t f2h(float f) {
	unsigned u = __float_as_uint(f), sign = u >> 16 & 0x8000, magnitude = u & 0x7fffffff;
	if (magnitude > 0x7f800000) return 0x7fff;
	if (magnitude >= 0x477ff000) return sign | 0x7c00; // from 65520 on
	if (magnitude < 0x38800000) // below 2^-14: counted in units of 2^-24
		return sign | (uint16_t)__builtin_rintf(__uint_as_float(magnitude) * 0x1p24f);
	magnitude += 0xfff + (magnitude >> 13 & 1);
	return sign | (magnitude - 0x38000000) >> 13;
}
DEVICE uint32_t pack_h2(float lo, float hi) { return (uint32_t)f2h(hi) << 16 | f2h(lo); }

// Two f16 a word. Products and sums of f16 are exact in double, but for a fused
// one whose addends are more than 2⁵³ apart.
DEVICE uint32_t add_h2(uint32_t a, uint32_t b) { return pack_h2(h2f(a) + h2f(b), h2f(a >> 16) + h2f(b >> 16)); }
DEVICE uint32_t sub_h2(uint32_t a, uint32_t b) { return pack_h2(h2f(a) - h2f(b), h2f(a >> 16) - h2f(b >> 16)); }
DEVICE uint32_t mul_h2(uint32_t a, uint32_t b) { return pack_h2(h2f(a) * h2f(b), h2f(a >> 16) * h2f(b >> 16)); }

// emu_odd rounds such that rounding once more, to f16, is right: a float that is
// not exact gets an odd last bit.
DEVICE float emu_odd(double v) {
	float f = v;
	if ((double)f == v || f != f || __builtin_isinf(f)) return f;
	unsigned u = __float_as_uint(f);
	if (__builtin_fabs((double)f) > __builtin_fabs(v)) u--;
	return __uint_as_float(u | 1);
}
DEVICE uint32_t fma_h2(uint32_t a, uint32_t b, uint32_t c) {
	return pack_h2(emu_odd((double)h2f(a) * h2f(b) + h2f(c)), emu_odd((double)h2f(a >> 16) * h2f(b >> 16) + h2f(c >> 16)));
}

// Mathematics. expf and friends are the host's, within an ulp; so are __expf and
// its like, which on the card are less exact (CUDA C++ Programming Guide,
// mathematical functions).

#define EMU_MATH1(name) \
	extern "C" float name##f(float) noexcept; \
	extern "C" double name(double) noexcept; \
	DEVICE float name(float x) { return name##f(x); }
#define EMU_MATH2(name) \
	extern "C" float name##f(float, float) noexcept; \
	extern "C" double name(double, double) noexcept; \
	DEVICE float name(float x, float y) { return name##f(x, y); }
EMU_MATH1(sqrt) EMU_MATH1(exp) EMU_MATH1(exp2) EMU_MATH1(expm1) EMU_MATH1(log) EMU_MATH1(log2) EMU_MATH1(log10) EMU_MATH1(log1p)
EMU_MATH1(sin) EMU_MATH1(cos) EMU_MATH1(tan) EMU_MATH1(asin) EMU_MATH1(acos) EMU_MATH1(atan) EMU_MATH1(sinh) EMU_MATH1(cosh)
EMU_MATH1(tanh) EMU_MATH1(asinh) EMU_MATH1(acosh) EMU_MATH1(atanh) EMU_MATH1(erf) EMU_MATH1(erfc) EMU_MATH1(tgamma) EMU_MATH1(lgamma)
EMU_MATH1(cbrt) EMU_MATH1(fabs) EMU_MATH1(floor) EMU_MATH1(ceil) EMU_MATH1(trunc) EMU_MATH1(round) EMU_MATH1(rint) EMU_MATH1(nearbyint)
EMU_MATH2(pow) EMU_MATH2(atan2) EMU_MATH2(fmod) EMU_MATH2(remainder) EMU_MATH2(hypot) EMU_MATH2(fdim) EMU_MATH2(copysign)
DEVICE unsigned thread_index() { return threadIdx.x; }
DEVICE float ex2(float x) { return exp2f(x) < 0x1p-126f ? 0 : exp2f(x); }
EMU_MATH2(fmin) EMU_MATH2(fmax) EMU_MATH2(nextafter)
extern "C" {
float fmaf(float, float, float) noexcept;
double fma(double, double, double) noexcept;
float ldexpf(float, int) noexcept;
double ldexp(double, int) noexcept;
float frexpf(float, int *) noexcept;
double frexp(double, int *) noexcept;
float modff(float, float *) noexcept;
double modf(double, double *) noexcept;
int ilogbf(float) noexcept;
float scalbnf(float, int) noexcept;
double scalbn(double, int) noexcept;
float logbf(float) noexcept;
long lrintf(float) noexcept;
long lroundf(float) noexcept;
void sincosf(float, float *, float *) noexcept;
void sincos(double, double *, double *) noexcept;
float exp10f(float) noexcept;
double exp10(double) noexcept;
int abs(int) noexcept;
long long llabs(long long) noexcept;
int printf(const char *, ...);
void *memcpy(void *, const void *, size_t) noexcept;
void *memset(void *, int, size_t) noexcept;
}
DEVICE float fma(float x, float y, float z) { return fmaf(x, y, z); }
DEVICE float ldexp(float x, int e) { return ldexpf(x, e); }
DEVICE float abs(float x) { return fabsf(x); }
DEVICE double abs(double x) { return fabs(x); }
DEVICE long long abs(long long x) { return llabs(x); }
DEVICE float rsqrtf(float x) { return (float)(1 / __builtin_sqrt((double)x)); }
DEVICE double rsqrt(double x) { return 1 / __builtin_sqrt(x); }
DEVICE float rsqrt(float x) { return rsqrtf(x); }
DEVICE float sinpif(float x) { return (float)sin(3.14159265358979323846 * fmod((double)x, 2.0)); }
DEVICE float cospif(float x) { return (float)cos(3.14159265358979323846 * fmod((double)x, 2.0)); }
DEVICE double sinpi(double x) { return sin(3.14159265358979323846 * fmod(x, 2.0)); }
DEVICE double cospi(double x) { return cos(3.14159265358979323846 * fmod(x, 2.0)); }
DEVICE void sincospif(float x, float *s, float *c) { *s = sinpif(x), *c = cospif(x); }
DEVICE void sincospi(double x, double *s, double *c) { *s = sinpi(x), *c = cospi(x); }
DEVICE float normcdff(float x) { return (float)(0.5 * erfc(-(double)x * 0.70710678118654752440)); }
DEVICE float saturatef(float x) { return x > 0 ? x < 1 ? x : 1.0f : 0.0f; }
DEVICE float __saturatef(float x) { return saturatef(x); }
DEVICE bool isnan(float x) { return x != x; }
DEVICE bool isnan(double x) { return x != x; }
DEVICE bool isinf(float x) { return __builtin_isinf(x); }
DEVICE bool isinf(double x) { return __builtin_isinf(x); }
DEVICE bool isfinite(float x) { return __builtin_isfinite(x); }
DEVICE bool isfinite(double x) { return __builtin_isfinite(x); }
DEVICE bool signbit(float x) { return __builtin_signbit(x); }
DEVICE bool signbit(double x) { return __builtin_signbit(x); }
DEVICE float __expf(float x) { return expf(x); }
DEVICE float __exp10f(float x) { return exp10f(x); }
DEVICE float __logf(float x) { return logf(x); }
DEVICE float __log2f(float x) { return log2f(x); }
DEVICE float __log10f(float x) { return log10f(x); }
DEVICE float __powf(float x, float y) { return powf(x, y); }
DEVICE float __sinf(float x) { return sinf(x); }
DEVICE float __cosf(float x) { return cosf(x); }
DEVICE float __tanf(float x) { return tanf(x); }
DEVICE void __sincosf(float x, float *s, float *c) { *s = sinf(x), *c = cosf(x); }
DEVICE float __fdividef(float x, float y) { return x / y; }
DEVICE float fdividef(float x, float y) { return x / y; }
DEVICE float __fadd_rn(float x, float y) { return x + y; }
DEVICE float __fsub_rn(float x, float y) { return x - y; }
DEVICE float __fmul_rn(float x, float y) { return x * y; }
DEVICE float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
DEVICE float __fdiv_rn(float x, float y) { return x / y; }
DEVICE float __frcp_rn(float x) { return 1 / x; }
DEVICE float __fsqrt_rn(float x) { return sqrtf(x); }
DEVICE float __frsqrt_rn(float x) { return rsqrtf(x); }
DEVICE double __dadd_rn(double x, double y) { return x + y; }
DEVICE double __dmul_rn(double x, double y) { return x * y; }
DEVICE double __fma_rn(double x, double y, double z) { return fma(x, y, z); }

#define EMU_MIN_MAX(T, A, B) \
	DEVICE T min(A x, B y) { return (T)x < (T)y ? (T)x : (T)y; } \
	DEVICE T max(A x, B y) { return (T)x > (T)y ? (T)x : (T)y; }
EMU_MIN_MAX(int, int, int)
EMU_MIN_MAX(unsigned, unsigned, unsigned)
EMU_MIN_MAX(unsigned, int, unsigned)
EMU_MIN_MAX(unsigned, unsigned, int)
EMU_MIN_MAX(long, long, long)
EMU_MIN_MAX(unsigned long, unsigned long, unsigned long)
EMU_MIN_MAX(unsigned long, long, unsigned long)
EMU_MIN_MAX(unsigned long, unsigned long, long)
EMU_MIN_MAX(long long, long long, long long)
EMU_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
EMU_MIN_MAX(unsigned long long, long long, unsigned long long)
EMU_MIN_MAX(unsigned long long, unsigned long long, long long)
DEVICE float min(float x, float y) { return fminf(x, y); }
DEVICE float max(float x, float y) { return fmaxf(x, y); }
DEVICE double min(double x, double y) { return fmin(x, y); }
DEVICE double max(double x, double y) { return fmax(x, y); }
DEVICE double min(float x, double y) { return fmin((double)x, y); }
DEVICE double max(float x, double y) { return fmax((double)x, y); }
DEVICE double min(double x, float y) { return fmin(x, (double)y); }
DEVICE double max(double x, float y) { return fmax(x, (double)y); }

// Bits and small integers.

DEVICE int __popc(unsigned v) { return __builtin_popcount(v); }
DEVICE int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
DEVICE int __clz(int v) { return v ? __builtin_clz(v) : 32; }
DEVICE int __clzll(long long v) { return v ? __builtin_clzll(v) : 64; }
DEVICE int __ffs(int v) { return __builtin_ffs(v); }
DEVICE int __ffsll(long long v) { return __builtin_ffsll(v); }
DEVICE unsigned __brev(unsigned v) {
	unsigned r = 0;
	for (int i = 0; i < 32; i++) r |= (v >> i & 1) << (31 - i);
	return r;
}
DEVICE unsigned long long __brevll(unsigned long long v) { return (unsigned long long)__brev((unsigned)v) << 32 | __brev(v >> 32); }
// Bit 3 of a selector copies the byte's sign (PTX prmt).
DEVICE unsigned __byte_perm(unsigned x, unsigned y, unsigned s) {
	unsigned long long v = (unsigned long long)y << 32 | x;
	unsigned r = 0;
	for (int i = 0; i < 4; i++) {
		unsigned n = s >> (4 * i), b = (unsigned)(v >> (8 * (n & 7))) & 0xff;
		if (n & 8) b = b & 0x80 ? 0xff : 0;
		r |= b << (8 * i);
	}
	return r;
}
DEVICE unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned n) { return ((unsigned long long)hi << 32 | lo) << (n & 31) >> 32; }
DEVICE unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned n) { return ((unsigned long long)hi << 32 | lo) >> (n & 31); }
DEVICE unsigned __funnelshift_lc(unsigned lo, unsigned hi, unsigned n) { return n >= 32 ? lo : __funnelshift_l(lo, hi, n); }
DEVICE unsigned __funnelshift_rc(unsigned lo, unsigned hi, unsigned n) { return n >= 32 ? hi : __funnelshift_r(lo, hi, n); }
DEVICE int __mulhi(int x, int y) { return (long long)x * y >> 32; }
DEVICE unsigned __umulhi(unsigned x, unsigned y) { return (unsigned long long)x * y >> 32; }
DEVICE long long __mul64hi(long long x, long long y) { return (__int128)x * y >> 64; }
DEVICE unsigned long long __umul64hi(unsigned long long x, unsigned long long y) { return (unsigned __int128)x * y >> 64; }
DEVICE int __mul24(int x, int y) { return (int)((long long)(x << 8 >> 8) * (y << 8 >> 8)); }
DEVICE unsigned __umul24(unsigned x, unsigned y) { return (x & 0xffffff) * (y & 0xffffff); }
DEVICE unsigned __sad(int x, int y, unsigned z) { return z + (x > y ? (unsigned)x - y : (unsigned)y - x); }
DEVICE unsigned __usad(unsigned x, unsigned y, unsigned z) { return z + (x > y ? x - y : y - x); }
DEVICE int __dp4a(int x, int y, int c) {
	unsigned s = c;
	for (int i = 0; i < 32; i += 8) s += (int8_t)(x >> i) * (int8_t)(y >> i);
	return s;
}
DEVICE unsigned __dp4a(unsigned x, unsigned y, unsigned c) {
	for (int i = 0; i < 32; i += 8) c += (x >> i & 255) * (y >> i & 255);
	return c;
}
DEVICE int __dp2a_lo(int x, int y, int c) { return c + (int16_t)x * (int8_t)y + (x >> 16) * (int8_t)(y >> 8); }
DEVICE int __dp2a_hi(int x, int y, int c) { return c + (int16_t)x * (int8_t)(y >> 16) + (x >> 16) * (y >> 24); }

// Four bytes, or two halves, of a word at once.
#define EMU_SIMD(name, T, bits, expression) \
	DEVICE unsigned name(unsigned a, unsigned b) { \
		unsigned r = 0; \
		for (int i = 0; i < 32; i += bits) { \
			const int x = (T)(a >> i), y = (T)(b >> i); \
			r |= ((unsigned)(expression) & ((1u << bits) - 1)) << i; \
		} \
		return r; \
	}
#define EMU_CLAMP(v, lo, hi) ((v) < (lo) ? (lo) : (v) > (hi) ? (hi) : (v))
EMU_SIMD(__vadd4, int8_t, 8, x + y)
EMU_SIMD(__vsub4, int8_t, 8, x - y)
EMU_SIMD(__vaddss4, int8_t, 8, EMU_CLAMP(x + y, -128, 127))
EMU_SIMD(__vsubss4, int8_t, 8, EMU_CLAMP(x - y, -128, 127))
EMU_SIMD(__vaddus4, uint8_t, 8, EMU_CLAMP(x + y, 0, 255))
EMU_SIMD(__vsubus4, uint8_t, 8, EMU_CLAMP(x - y, 0, 255))
EMU_SIMD(__vabsdiffu4, uint8_t, 8, x > y ? x - y : y - x)
EMU_SIMD(__vabsdiffs4, int8_t, 8, x > y ? x - y : y - x)
EMU_SIMD(__vmaxs4, int8_t, 8, x > y ? x : y)
EMU_SIMD(__vmins4, int8_t, 8, x < y ? x : y)
EMU_SIMD(__vmaxu4, uint8_t, 8, x > y ? x : y)
EMU_SIMD(__vminu4, uint8_t, 8, x < y ? x : y)
EMU_SIMD(__vavgu4, uint8_t, 8, (x + y + 1) >> 1)
EMU_SIMD(__vcmpeq4, uint8_t, 8, x == y ? 255 : 0)
EMU_SIMD(__vcmpne4, uint8_t, 8, x != y ? 255 : 0)
EMU_SIMD(__vcmpgtu4, uint8_t, 8, x > y ? 255 : 0)
EMU_SIMD(__vcmpltu4, uint8_t, 8, x < y ? 255 : 0)
EMU_SIMD(__vcmpgeu4, uint8_t, 8, x >= y ? 255 : 0)
EMU_SIMD(__vcmpgts4, int8_t, 8, x > y ? 255 : 0)
EMU_SIMD(__vcmplts4, int8_t, 8, x < y ? 255 : 0)
EMU_SIMD(__vcmpges4, int8_t, 8, x >= y ? 255 : 0)
EMU_SIMD(__vadd2, int16_t, 16, x + y)
EMU_SIMD(__vsub2, int16_t, 16, x - y)
EMU_SIMD(__vmaxs2, int16_t, 16, x > y ? x : y)
EMU_SIMD(__vmins2, int16_t, 16, x < y ? x : y)
DEVICE unsigned __vabs4(unsigned a) {
	unsigned r = 0;
	for (int i = 0; i < 32; i += 8) r |= (unsigned)(uint8_t)abs((int)(int8_t)(a >> i)) << i;
	return r;
}
DEVICE unsigned __vneg4(unsigned a) { return __vsub4(0, a); }

// Memory.

template <class T> DEVICE T emu_load(const T *p) {
	if ((size_t)p % alignof(T)) emu_fault(EMU_MISALIGNED, "load of %d bytes at %p: not aligned", (int)sizeof(T), (const void *)p);
	return *p;
}
template <class T> DEVICE void emu_store(T *p, T v) {
	if ((size_t)p % alignof(T)) emu_fault(EMU_MISALIGNED, "store of %d bytes at %p: not aligned", (int)sizeof(T), (void *)p);
	*p = v;
}
template <class T> DEVICE T __ldg(const T *p) { return emu_load(p); }
template <class T> DEVICE T __ldca(const T *p) { return emu_load(p); }
template <class T> DEVICE T __ldcg(const T *p) { return emu_load(p); }
template <class T> DEVICE T __ldcs(const T *p) { return emu_load(p); }
template <class T> DEVICE T __ldlu(const T *p) { return emu_load(p); }
template <class T> DEVICE T __ldcv(const T *p) { return emu_load(p); }
template <class T> DEVICE void __stwb(T *p, T v) { emu_store(p, v); }
template <class T> DEVICE void __stcg(T *p, T v) { emu_store(p, v); }
template <class T> DEVICE void __stcs(T *p, T v) { emu_store(p, v); }
template <class T> DEVICE void __stwt(T *p, T v) { emu_store(p, v); }
DEVICE uint4 load16(const void *p) { return __ldg((const uint4 *)p); }
DEVICE uint2 load8(const void *p) { return __ldg((const uint2 *)p); }
DEVICE uint32_t load4(const void *p) { return __ldg((const uint32_t *)p); }
DEVICE uint16_t load2(const void *p) { return __ldg((const uint16_t *)p); }
DEVICE uint4 fresh16(const void *p) { return __ldcg((const uint4 *)p); }
DEVICE uint2 fresh8(const void *p) { return __ldcg((const uint2 *)p); }
DEVICE uint32_t fresh4(const void *p) { return __ldcg((const uint32_t *)p); }
DEVICE uint16_t fresh2(const void *p) { return __ldcg((const uint16_t *)p); }
DEVICE uint4 stream16(const void *p) { return load16(p); }
DEVICE void prefetch_l2(const void *) {}
DEVICE float load_fresh(const float *p) { return *(const volatile float *)p; }
DEVICE float4 load_fresh4(const float *p) { return __ldcg((const float4 *)p); }
DEVICE size_t __cvta_generic_to_shared(const void *p) { return (size_t)p; }

DEVICE void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
DEVICE void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
DEVICE void __threadfence_system() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

DEVICE uint32_t look(const void *p) { return __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED); }
DEVICE uint4 look4(const void *p) {
	const uint32_t *w = (const uint32_t *)p;
	if ((size_t)p % 16) emu_fault(EMU_MISALIGNED, "load of 16 bytes at %p: not aligned", p);
	return make_uint4(look(w), look(w + 1), look(w + 2), look(w + 3));
}
DEVICE uint64_t look8(const void *p) { return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED); }
DEVICE void put8(void *p, uint64_t v) { __atomic_store_n((uint64_t *)p, v, __ATOMIC_RELAXED); }
DEVICE void put_word(void *p, uint32_t v) { __atomic_store_n((uint32_t *)p, v, __ATOMIC_RELAXED); }

// Both let the other threads of the block and other blocks run.
DEVICE void pause() { emu_pause(); }
DEVICE void spin() { emu_pause(); }
DEVICE void __nanosleep(unsigned) { emu_pause(); }
DEVICE long long clock64() { return emu_clock(); }
DEVICE int clock() { return (int)emu_clock(); }
DEVICE void __trap() { emu_fault(EMU_ILLEGAL_INSTRUCTION, "__trap"); }

// Atomic operations: change makes the new value of the old one.
template <class T, class F> DEVICE T emu_change(T *p, F change) {
	T old, now;
	__atomic_load(p, &old, __ATOMIC_RELAXED);
	do now = change(old);
	while (!__atomic_compare_exchange(p, &old, &now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return old;
}
// The value has the type of the memory, however the caller wrote it.
template <class T> struct emu_same { typedef T type; };
#define EMU_ATOMIC(name, expression) \
	template <class T> DEVICE T name(T *p, typename emu_same<T>::type v) { \
		return emu_change(p, [=](T x) -> T { return expression; }); \
	} \
	template <class T> DEVICE T name##_block(T *p, typename emu_same<T>::type v) { return name(p, v); } \
	template <class T> DEVICE T name##_system(T *p, typename emu_same<T>::type v) { return name(p, v); }
EMU_ATOMIC(atomicAdd, x + v)
EMU_ATOMIC(atomicSub, x - v)
EMU_ATOMIC(atomicExch, v)
EMU_ATOMIC(atomicMin, x < v ? x : v)
EMU_ATOMIC(atomicMax, x > v ? x : v)
EMU_ATOMIC(atomicAnd, x & v)
EMU_ATOMIC(atomicOr, x | v)
EMU_ATOMIC(atomicXor, x ^ v)
EMU_ATOMIC(atomicInc, x >= v ? 0 : x + 1)
EMU_ATOMIC(atomicDec, x == 0 || x > v ? v : x - 1)
template <class T> DEVICE T atomicCAS(T *p, typename emu_same<T>::type compare, typename emu_same<T>::type v) {
	return emu_change(p, [=](T x) { return x == compare ? v : x; });
}
template <class T> DEVICE T atomicCAS_block(T *p, typename emu_same<T>::type compare, typename emu_same<T>::type v) { return atomicCAS(p, compare, v); }
template <class T> DEVICE T atomicCAS_system(T *p, typename emu_same<T>::type compare, typename emu_same<T>::type v) { return atomicCAS(p, compare, v); }

// Asynchronous copies.

DEVICE bool emu_asynchronous() { return emu_capability() >= 80; }
#define async_copies emu_asynchronous()
DEVICE void emu_copy(void *shared, const void *global, unsigned bytes) {
	if (emu_asynchronous()) emu_async_copy(shared, global, bytes);
	else __builtin_memcpy(shared, global, bytes);
}
DEVICE void cp_async16(void *shared, const void *global) { emu_copy(shared, global, 16); }
DEVICE void cp_async16_wide(void *shared, const void *global) { emu_copy(shared, global, 16); }
DEVICE void cp_async8(void *shared, const void *global) { emu_copy(shared, global, 8); }
DEVICE void cp_async4(void *shared, const void *global) { emu_copy(shared, global, 4); }
DEVICE void cp_async_commit() { if (emu_asynchronous()) emu_async_commit(); }
template <int n> DEVICE void cp_async_wait() { if (emu_asynchronous()) emu_async_wait(n); }

// Barriers and exchanges.

DEVICE void __syncthreads() { emu_syncthreads(EMU_SYNC, 0); }
DEVICE void sync_some(int, int) { __syncthreads(); } // the others of the block come to theirs
DEVICE int __syncthreads_and(int p) { return emu_syncthreads(EMU_SYNC_AND, p); }
DEVICE int __syncthreads_or(int p) { return emu_syncthreads(EMU_SYNC_OR, p); }
DEVICE int __syncthreads_count(int p) { return emu_syncthreads(EMU_SYNC_COUNT, p); }
DEVICE void __syncwarp(unsigned mask = 0xffffffff) { emu_collective("__syncwarp", 0, mask, 0, 0, 0); }

// A shuffle moves words; each lane says which lane it reads (its own when that
// is outside its part of `width` lanes).
template <class T> struct emu_shuffled { T v; int from; };
template <class T> void emu_shuffle(unsigned mask, const void *const in[32], void *const out[32], int) {
	for (unsigned m = mask; m; m &= m - 1) {
		int lane = __builtin_ctz(m), from = ((const emu_shuffled<T> *)in[lane])->from;
		// What a lane that takes no part would give is undefined.
		if (mask >> from & 1) *(T *)out[lane] = ((const emu_shuffled<T> *)in[from])->v;
		else __builtin_memset(out[lane], 0xff, sizeof(T));
	}
}
template <class T> DEVICE T emu_shuffle_from(const char *name, unsigned mask, T v, int from) {
	emu_shuffled<T> in = {v, from};
	T out;
	emu_collective(name, emu_shuffle<T>, mask, &in, &out, 0);
	return out;
}
template <class T> DEVICE T __shfl_sync(unsigned mask, T v, int from, int width = 32) {
	int lane = emu_self->lane;
	return emu_shuffle_from("__shfl_sync", mask, v, (lane & -width) | (from & (width - 1)));
}
template <class T> DEVICE T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32) {
	int lane = emu_self->lane, from = lane - (int)delta;
	return emu_shuffle_from("__shfl_up_sync", mask, v, from < (lane & -width) ? lane : from);
}
template <class T> DEVICE T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32) {
	int lane = emu_self->lane, from = lane + (int)delta;
	return emu_shuffle_from("__shfl_down_sync", mask, v, from > (lane | (width - 1)) ? lane : from);
}
template <class T> DEVICE T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32) {
	int lane = emu_self->lane, from = lane ^ bits;
	return emu_shuffle_from("__shfl_xor_sync", mask, v, from > (lane | (width - 1)) ? lane : from);
}

DEVICE void emu_ballot(unsigned mask, const void *const in[32], void *const out[32], int) {
	unsigned votes = 0;
	for (unsigned m = mask; m; m &= m - 1) votes |= (unsigned)*(const bool *)in[__builtin_ctz(m)] << __builtin_ctz(m);
	for (unsigned m = mask; m; m &= m - 1) {
		((unsigned *)out[__builtin_ctz(m)])[0] = votes;
		((unsigned *)out[__builtin_ctz(m)])[1] = mask;
	}
}
struct emu_votes { unsigned votes, mask; };
DEVICE emu_votes emu_vote(const char *name, unsigned mask, bool p) {
	emu_votes v;
	emu_collective(name, emu_ballot, mask, &p, &v, 0);
	return v;
}
DEVICE unsigned __ballot_sync(unsigned mask, int p) { return emu_vote("__ballot_sync", mask, p).votes; }
DEVICE int __any_sync(unsigned mask, int p) { return emu_vote("__any_sync", mask, p).votes != 0; }
DEVICE int __all_sync(unsigned mask, int p) {
	emu_votes v = emu_vote("__all_sync", mask, p);
	return v.votes == v.mask;
}
template <class T> void emu_match(unsigned mask, const void *const in[32], void *const out[32], int) {
	for (unsigned m = mask; m; m &= m - 1) {
		unsigned same = 0;
		for (unsigned o = mask; o; o &= o - 1)
			if (*(const T *)in[__builtin_ctz(o)] == *(const T *)in[__builtin_ctz(m)]) same |= o & -o;
		*(unsigned *)out[__builtin_ctz(m)] = same;
	}
}
template <class T> DEVICE unsigned __match_any_sync(unsigned mask, T v) {
	unsigned same;
	emu_collective("__match_any_sync", emu_match<T>, mask, &v, &same, 0);
	return same;
}

// Tensor cores. Fragments are those of the PTX ISA ("Matrix fragments for
// mma.m16n8k16" and so on); group is lane/4, member is lane%4.

DEVICE void emu_whole_warp(const char *name, unsigned mask) {
	if (mask != 0xffffffff) emu_fault(EMU_ILLEGAL_INSTRUCTION, "%s by lanes %08x: it takes the whole warp", name, mask);
}

DEVICE void emu_ldmatrix(unsigned mask, const void *const in[32], void *const out[32], int form) {
	int matrices = form & 7;
	bool transposed = form & 8;
	emu_whole_warp("ldmatrix", mask);
	for (int i = 0; i < matrices * 8; i++)
		if ((size_t)in[i] % 16) emu_fault(EMU_MISALIGNED, "ldmatrix: lane %d gives row %p: not aligned to 16 bytes", i, in[i]);
	uint32_t r[32][4];
	for (int lane = 0; lane < 32; lane++)
		for (int m = 0; m < matrices; m++) {
			int i = lane / 4, j = 2 * (lane % 4);
			uint16_t v[2];
			for (int k = 0; k < 2; k++) v[k] = transposed ? ((const uint16_t *)in[m * 8 + j + k])[i] : ((const uint16_t *)in[m * 8 + i])[j + k];
			r[lane][m] = v[0] | (uint32_t)v[1] << 16;
		}
	for (int lane = 0; lane < 32; lane++)
		for (int m = 0; m < matrices; m++) ((uint32_t *)out[lane])[m] = r[lane][m];
}
DEVICE void ldmatrix4(uint32_t r[4], const void *row) { emu_collective("ldmatrix", emu_ldmatrix, 0xffffffff, row, r, 4); }
DEVICE void ldmatrix4t(uint32_t r[4], const void *row) { emu_collective("ldmatrix", emu_ldmatrix, 0xffffffff, row, r, 4 | 8); }
DEVICE void ldmatrix2(uint32_t r[2], const void *row) { emu_collective("ldmatrix", emu_ldmatrix, 0xffffffff, row, r, 2); }

template <class C> struct emu_fragments { C *c; const uint32_t *a, *b; };

// c0, c1: row group, columns 2·member + 0, 1; c2, c3: row group + 8.
template <class C> DEVICE C &emu_c(const void *const in[32], int row, int col) {
	int lane = row % 8 * 4 + col / 2;
	return ((const emu_fragments<C> *)in[lane])->c[row / 8 * 2 + col % 2];
}

// a: register 0 is row group, columns 2·member + 0, 1; 1 is row group + 8; 2 and
// 3 are the same with columns + 8. b: register 0 is rows 2·member + 0, 1 of
// column group; 1 is rows + 8.
DEVICE void emu_mma_f16(unsigned mask, const void *const in[32], void *const out[32], int) {
	emu_whole_warp("mma_f16", mask);
	float a[16][16], b[16][8];
	for (int lane = 0; lane < 32; lane++) {
		const emu_fragments<float> &f = *(const emu_fragments<float> *)in[lane];
		int group = lane / 4, member = lane % 4;
		for (int r = 0; r < 4; r++)
			for (int k = 0; k < 2; k++) a[group + r % 2 * 8][2 * member + r / 2 * 8 + k] = h2f(f.a[r] >> (16 * k));
		for (int r = 0; r < 2; r++)
			for (int k = 0; k < 2; k++) b[2 * member + r * 8 + k][group] = h2f(f.b[r] >> (16 * k));
	}
	for (int i = 0; i < 16; i++) {
		double sum[8] = {};
		for (int k = 0; k < 16; k++)
			for (int j = 0; j < 8; j++) sum[j] += (double)a[i][k] * b[k][j];
		for (int j = 0; j < 8; j++) emu_c<float>(in, i, j) += (float)sum[j];
	}
}
DEVICE void mma_f16(float c[4], const uint32_t a[4], const uint32_t b[2]) {
	emu_fragments<float> f = {c, a, b};
	emu_collective("mma_f16", emu_mma_f16, 0xffffffff, &f, 0, 0);
}

// a: register 0 is row group, columns 4·member + 0…3; 1 is row group + 8; 2 and
// 3 are the same with columns + 16. b: register 0 is rows 4·member + 0…3 of
// column group; 1 is rows + 16.
DEVICE void emu_mma_s8(unsigned mask, const void *const in[32], void *const out[32], int) {
	emu_whole_warp("mma_s8", mask);
	int a[16][32], b[32][8];
	for (int lane = 0; lane < 32; lane++) {
		const emu_fragments<int> &f = *(const emu_fragments<int> *)in[lane];
		int group = lane / 4, member = lane % 4;
		for (int r = 0; r < 4; r++)
			for (int k = 0; k < 4; k++) a[group + r % 2 * 8][4 * member + r / 2 * 16 + k] = (int8_t)(f.a[r] >> (8 * k));
		for (int r = 0; r < 2; r++)
			for (int k = 0; k < 4; k++) b[4 * member + r * 16 + k][group] = (int8_t)(f.b[r] >> (8 * k));
	}
	for (int i = 0; i < 16; i++) {
		int sum[8] = {};
		for (int k = 0; k < 32; k++)
			for (int j = 0; j < 8; j++) sum[j] += a[i][k] * b[k][j];
		for (int j = 0; j < 8; j++) emu_c<int>(in, i, j) = (int)((unsigned)emu_c<int>(in, i, j) + sum[j]);
	}
}
DEVICE void mma_s8(int c[4], const uint32_t a[4], const uint32_t b[2]) {
	emu_fragments<int> f = {c, a, b};
	emu_collective("mma_s8", emu_mma_s8, 0xffffffff, &f, 0, 0);
}
