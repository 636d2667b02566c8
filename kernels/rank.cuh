// Order of float numbers with their indices: one 64-bit key, whose largest is
// the largest number and, of equals, the first.
#pragma once
#include "cuda.cuh"

// rank_key puts NaN below all numbers, and -0 with 0.
DEVICE uint64_t rank_key(float v, int32_t index) {
	uint32_t u = __float_as_uint(v + 0.0f);
	u = u >> 31 ? ~u : u | 0x80000000;
	if (v != v) u = 0;
	return (uint64_t)u << 32 | (uint32_t)~index;
}

DEVICE int32_t rank_index(uint64_t key) { return ~(uint32_t)key; }

DEVICE float rank_value(uint64_t key) {
	uint32_t u = key >> 32;
	return __uint_as_float(u >> 31 ? u & 0x7fffffff : ~u);
}
