// Results of products that are not added up yet, and inputs of products that are
// f16: what lies between two products of few rows.
#pragma once
#include "cuda.cuh"

// Parts are a result (n, m) of a product that is cut along its columns: number
// (i, j) is x_scale[i]·Σ part[s][i][j], s in order.
struct Parts {
	uint64_t at;      // f32: for every `each` rows, one after the other, (splits, rows, m)
	uint64_t x_scale; // f32 (n), powers of two; 0: ones
	int32_t n, m;
	int32_t each;     // rows that were computed at a time; the last ones may be fewer
	int32_t splits;
};

// A PartRow is where the parts of a row lie.
struct PartRow {
	const float *first;
	int64_t step; // from one part to the next
	const float *scale;
	int splits;
};
DEVICE PartRow part_row(const Parts &p, int row) {
	int from = row - row % max(p.each, 1), rows = min(p.each, p.n - from);
	const float *first = (const float *)p.at + ((int64_t)from * p.splits + row - from) * p.m;
	return {first, (int64_t)rows * p.m, p.x_scale ? (const float *)p.x_scale + row : nullptr, p.splits};
}

DEVICE float scale_of(const PartRow &r) { return r.scale ? *r.scale : 1; }

// added is number i of a row; quad numbers 4i to 4i+3. They lack the scale.
DEVICE float added(const PartRow &r, int i) {
	float sum = r.first[i];
#pragma unroll 4
	for (int s = 1; s < r.splits; s++) sum += r.first[s * r.step + i];
	return sum;
}
template <int unroll> DEVICE float4 quad(const PartRow &r, int i) {
	float4 sum = ((const float4 *)r.first)[i];
#pragma unroll unroll
	for (int s = 1; s < r.splits; s++) {
		float4 v = ((const float4 *)(r.first + s * r.step))[i];
		sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
	}
	return sum;
}

// input_exponent is e such that a row whose largest magnitude is `most` becomes
// f16 by 2^(127-e), and is that times 2^(e-127): the largest is from 2¹³ up to
// 2¹⁴. Both are normal numbers. A row that holds an infinity gets 127.
DEVICE int input_exponent(float most) {
	int e = (int)(__float_as_uint(most) >> 23) - 13;
	if (most == 0 || e > 241) e = 127;
	return max(e, 2);
}
DEVICE float input_scale(int e) { return __uint_as_float((uint32_t)e << 23); }
DEVICE float input_inverse(int e) { return __uint_as_float((uint32_t)(254 - e) << 23); }

DEVICE float largest_of(float4 v) { return fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w))); }

// put_input is numbers 4i to 4i+3 of a product's input, times `by`.
DEVICE void put_input(uint64_t to, int64_t i, float4 v, float by) {
	((uint2 *)to)[i] = make_uint2(pack_h2(v.x * by, v.y * by), pack_h2(v.z * by, v.w * by));
}
