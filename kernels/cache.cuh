// How numbers lie in a cache (rows, cols) of keys or values, cols = kvHeads·dim.
//
// f32, f16 and bf16 rows are plain. A cache of q8_0 is two planes: rows·cols
// signed bytes, then rows·cols/32 f16 scales, one for 32 numbers; together
// they take what GGUF's blocks take, and wide loads are aligned.
#pragma once
#include "cuda.cuh"

// Types of a cache: GGUF's numbers.
const int CACHE_F32 = 0, CACHE_F16 = 1, CACHE_Q8_0 = 8, CACHE_BF16 = 30;

// cache_at is where number i lies, cache_scale where its scale does (q8_0).
// total is the number of numbers, rows·cols.
template <int TYPE> DEVICE char *cache_at(char *cache, int64_t i) {
	return cache + i * (TYPE == CACHE_F32 ? 4 : TYPE == CACHE_Q8_0 ? 1 : 2);
}
DEVICE char *cache_scale(char *cache, int64_t i, int64_t total) { return cache + total + i / 32 * 2; }

// A Piece is N neighbouring numbers of a cache of f16 or q8_0, as they lie
// there, N/2 or N/4 words. word(i) makes numbers 2i and 2i+1 of them two f16.
template <int TYPE, int N> struct Piece {
	uint32_t w[TYPE == CACHE_F16 ? N / 2 : N / 4], d;
};

// Q8 is only cut into pieces of a whole scale.
template <int TYPE, int N> DEVICE uint32_t word(const Piece<TYPE, N> &p, int i) {
	if constexpr (TYPE == CACHE_F16) return p.w[i];
	// 1024 + (q+128) is 0x6400 with the byte as its last bits.
	uint32_t q = __byte_perm(p.w[i / 2] ^ 0x80808080, 0x64646464, i % 2 ? 0x4342 : 0x4140);
	return mul_h2(add_h2(q, 0xe480e480), p.d); // -1152
}

template <int TYPE, int N> DEVICE void clear(Piece<TYPE, N> &p) {
	for (uint32_t &w : p.w) w = 0;
	p.d = 0;
}

// fetch reads a piece from where it begins in a cache, and its scale.
template <int TYPE, int N> DEVICE void fetch(Piece<TYPE, N> &p, const char *numbers, const char *scale) {
	const int words = sizeof(p.w) / 4;
	if constexpr (words == 4) {
		uint4 v = fresh16(numbers);
		p.w[0] = v.x, p.w[1] = v.y, p.w[2] = v.z, p.w[3] = v.w;
	} else if constexpr (words == 2) {
		uint2 v = fresh8(numbers);
		p.w[0] = v.x, p.w[1] = v.y;
	} else {
		p.w[0] = fresh4(numbers);
	}
	if constexpr (TYPE == CACHE_Q8_0) p.d = fresh2(scale) * 0x10001u;
}

// fetch_shared is fetch from shared memory.
template <int TYPE, int N> DEVICE void fetch_shared(Piece<TYPE, N> &p, const char *numbers, const char *scale) {
	const int words = sizeof(p.w) / 4;
	for (int i = 0; i < words; i++) p.w[i] = ((const uint32_t *)numbers)[i];
	if constexpr (TYPE == CACHE_Q8_0) p.d = *(const uint16_t *)scale * 0x10001u;
}

// q8_scale is the scale of 32 numbers, one a lane of a warp, and its inverse:
// numbers are rounded against the scale before it becomes f16.
DEVICE float q8_scale(float x, float *inverse) {
	float d = warp_max(fabsf(x)) / 127;
	*inverse = d > 0 ? 1 / d : 0;
	return d;
}
DEVICE int8_t q8_number(float x, float inverse) { return (int8_t)(int)roundf(x * inverse); }
