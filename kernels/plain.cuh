// The plain types: how a number is stored (Store), what it is computed in
// (Work), and the way between. Integers keep their low bits, floats round to
// nearest even. round is put of a double or of 64 bits.
#pragma once
#include "cuda.cuh"

// odd rounds to float such that a second rounding to fewer bits is right: what
// is not exact gets an odd last bit (Boldo & Melquiond 2008).
DEVICE float odd(double v) {
	float f = (float)v;
	uint32_t bits = __float_as_uint(f);
	if ((double)f == v || v != v || fabsf(f) == __uint_as_float(0x7f800000) || (bits & 1)) return f;
	return __uint_as_float(fabs((double)f) > fabs(v) ? bits - 1 : bits + 1);
}

struct F32 {
	static const bool integer = false;
	typedef float Store;
	typedef float Work;
	DEVICE float get(float v) { return v; }
	DEVICE float put(float v) { return v; }
	DEVICE float round(double v) { return (float)v; }
};
struct F64 {
	static const bool integer = false;
	typedef double Store;
	typedef double Work;
	DEVICE double get(double v) { return v; }
	DEVICE double put(double v) { return v; }
	DEVICE double round(double v) { return v; }
};
struct F16 {
	static const bool integer = false;
	typedef uint16_t Store;
	typedef float Work;
	DEVICE float get(uint16_t v) { return h2f(v); }
	DEVICE uint16_t put(float v) { return f2h(v); }
	DEVICE uint16_t round(double v) { return f2h(odd(v)); }
};
struct BF16 {
	static const bool integer = false;
	typedef uint16_t Store;
	typedef float Work;
	DEVICE float get(uint16_t v) { return bf2f(v); }
	DEVICE uint16_t put(float v) { return f2bf(v); }
	DEVICE uint16_t round(double v) { return f2bf(odd(v)); }
};
template <class S, class W> struct Integer {
	static const bool integer = true;
	typedef S Store;
	typedef W Work;
	DEVICE W get(S v) { return v; }
	DEVICE S put(W v) { return (S)v; }
	DEVICE S round(int64_t v) { return (S)v; }
};
typedef Integer<int8_t, int32_t> I8;
typedef Integer<int16_t, int32_t> I16;
typedef Integer<int32_t, int32_t> I32;
typedef Integer<int64_t, int64_t> I64;

// Pack is as many numbers as a thread takes at once: 4, or 16 bytes.
template <class T> struct alignas(sizeof(typename T::Store) == 8 ? 16 : 4 * sizeof(typename T::Store)) Pack {
	static const int size = sizeof(typename T::Store) == 8 ? 2 : 4;
	typename T::Store v[size];
};

// grid_start and grid_step walk a thread of a grid through [0, n).
DEVICE int64_t grid_start() { return (int64_t)blockIdx.x * blockDim.x + threadIdx.x; }
DEVICE int64_t grid_step() { return (int64_t)gridDim.x * blockDim.x; }

// map sets the n numbers at dst to f of those at x. wide says that the
// addresses are multiples of 16. dst may be x.
template <class T, class F> DEVICE void map(uint64_t dst, uint64_t x, int64_t n, int32_t wide, F f) {
	const int size = Pack<T>::size;
	int64_t done = 0;
	if (wide) {
#pragma unroll 1
		for (int64_t i = grid_start(); i < n / size; i += grid_step()) {
			Pack<T> p = ((const Pack<T> *)x)[i];
#pragma unroll
			for (int j = 0; j < size; j++) p.v[j] = T::put(f(T::get(p.v[j])));
			((Pack<T> *)dst)[i] = p;
		}
		done = n / size * size;
	}
#pragma unroll 1
	for (int64_t i = done + grid_start(); i < n; i += grid_step())
		((typename T::Store *)dst)[i] = T::put(f(T::get(((const typename T::Store *)x)[i])));
}

// repeated is where number i of n finds its partner among m numbers that
// repeat; n is below 2³² where they do.
DEVICE int64_t repeated(int64_t i, int64_t n, int64_t m) {
	if (m == n) return i;
	if (m == 1) return 0;
	return (uint32_t)i % (uint32_t)m;
}

// map2 sets the n numbers at dst to f of those at a and at b, where b has m
// numbers that repeat. wide says that the addresses are multiples of 16, and m
// is n, 1, or a multiple of 4. dst may be a, and b if m is n. Loops are not
// unrolled: enough threads wait for memory, and there are many of these.
template <class T, class F> DEVICE void map2(uint64_t dst, uint64_t a, uint64_t b, int64_t n, int64_t m, int32_t wide, F f) {
	typedef typename T::Store Store;
	const int size = Pack<T>::size;
	int64_t done = 0;
	if (wide) {
#pragma unroll 1
		for (int64_t i = grid_start(); i < n / size; i += grid_step()) {
			Pack<T> x = ((const Pack<T> *)a)[i], y;
			if (m == 1) {
				Store v = *(const Store *)b;
#pragma unroll
				for (int j = 0; j < size; j++) y.v[j] = v;
			} else {
				y = ((const Pack<T> *)b)[repeated(i, n / size, m / size)];
			}
#pragma unroll
			for (int j = 0; j < size; j++) x.v[j] = T::put(f(T::get(x.v[j]), T::get(y.v[j])));
			((Pack<T> *)dst)[i] = x;
		}
		done = n / size * size;
	}
#pragma unroll 1
	for (int64_t i = done + grid_start(); i < n; i += grid_step())
		((Store *)dst)[i] = T::put(f(T::get(((const Store *)a)[i]), T::get(((const Store *)b)[repeated(i, n, m)])));
}
