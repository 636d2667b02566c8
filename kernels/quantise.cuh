// The input of a product in shared memory: chunks of 32 columns, whose numbers
// are integers q of 15 bits by a scale, v = scale·q, and q = 128·hi + lo with lo
// in 0…127 (dot.cuh).
//
// q is taken from the bits of v/scale + 1.5·2²³ + 2¹⁴, added and rounded at once:
// numbers from 2²³ to 2²⁴ are whole, so the low 16 bits are q + 2¹⁴. With |q| at
// most 16255 that is 129…32639, no bit of which is lost: its upper eight of
// fifteen are hi + 128, hi from -127 to 126, its lower seven are lo. Added up,
// the words are the sum of q and that of the constants, modulo 2³².
#pragma once
#include "dot.cuh"

const float QUANTISE_LIMIT = 16255; // 127·128 - 1

// Four are the integers of four columns.
struct Four {
	uint32_t hi, lo; // a byte each
	int sum;
};
DEVICE Four four(float4 v, float inverse) {
	const float zero = 12582912.0f + 16384.0f; // 0x4b404000
	uint32_t a = __float_as_uint(fmaf(v.x, inverse, zero)), b = __float_as_uint(fmaf(v.y, inverse, zero));
	uint32_t c = __float_as_uint(fmaf(v.z, inverse, zero)), d = __float_as_uint(fmaf(v.w, inverse, zero));
	uint32_t ab = __byte_perm(a, b, 0x5410), cd = __byte_perm(c, d, 0x5410); // 16 bits each
	return {__byte_perm(ab >> 7, cd >> 7, 0x6420) ^ 0x80808080, __byte_perm(ab, cd, 0x6420) & 0x7f7f7f7f, (int)(a + b + c + d - 4u * 0x4b404000)};
}

DEVICE float largest(float4 v) { return fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w))); }
DEVICE float inverse_of(float most) { return most > 1e-30f ? __fdividef(QUANTISE_LIMIT, most) : 0; }

// quantise writes four columns from i on; eight threads hold a chunk.
DEVICE void quantise(const Activations &x, int i, float4 v, bool inside) {
	float most = largest(v);
	for (int k = 1; k < 8; k *= 2) most = fmaxf(most, __shfl_xor_sync(full_warp, most, k));
	Four q = four(v, inverse_of(most));
	q.sum += __shfl_xor_sync(full_warp, q.sum, 1);
	q.sum += __shfl_xor_sync(full_warp, q.sum, 2);
	if (!inside) return;
	int c = i / 32, word = i / 4 & 3, second = i / 16 & 1;
	((uint32_t *)((second ? x.hi1 : x.hi0) + c))[word] = q.hi;
	((uint32_t *)((second ? x.lo1 : x.lo0) + c))[word] = q.lo;
	// One thread a number: the sums by the first of each half, the scale by the second of all.
	if (word + second < 2) ((int *)(x.meta + c))[word == 0 ? 1 + second : 0] = word == 0 ? q.sum : __float_as_int(most * (1 / QUANTISE_LIMIT));
}

// quantise_pair writes eight columns of chunk c: a thread t of the four that hold
// it, neighbours, has the columns 4t to 4t + 3 of each half.
DEVICE void quantise_pair(const Activations &x, int c, float4 first, float4 second, bool inside) {
	const int t = threadIdx.x & 3;
	float most = fmaxf(largest(first), largest(second));
	most = fmaxf(most, __shfl_xor_sync(full_warp, most, 1));
	most = fmaxf(most, __shfl_xor_sync(full_warp, most, 2));
	float inverse = inverse_of(most);
	Four a = four(first, inverse), b = four(second, inverse);
	int sum = t & 1 ? b.sum : a.sum; // of the first half in even threads, of the second in odd ones
	sum += __shfl_xor_sync(full_warp, t & 1 ? a.sum : b.sum, 1);
	sum += __shfl_xor_sync(full_warp, sum, 2);
	if (!inside) return;
	((uint32_t *)(x.hi0 + c))[t] = a.hi, ((uint32_t *)(x.hi1 + c))[t] = b.hi;
	((uint32_t *)(x.lo0 + c))[t] = a.lo, ((uint32_t *)(x.lo1 + c))[t] = b.lo;
	((int *)(x.meta + c))[t + 1 & 3] = t == 3 ? __float_as_int(most * (1 / QUANTISE_LIMIT)) : sum; // thread 2 writes what nobody reads
}

// put_zeros writes the zeros of an input: the chunks that its last group lacks.
DEVICE void put_zeros(int cols, int groups, const Activations &x) {
	const uint4 zero = make_uint4(0, 0, 0, 0);
	int chunk = cols / 32 + threadIdx.x;
	if (threadIdx.x < 4) x.zeros[threadIdx.x] = zero;
	if (chunk < 4 * groups) x.hi0[chunk] = x.hi1[chunk] = x.lo0[chunk] = x.lo1[chunk] = zero, x.meta[chunk] = make_int4(0, 0, 0, 0);
}
