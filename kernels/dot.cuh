// Packed weights on tensor cores, for one row of activations or a few.
//
// A warp multiplies a tile, 16 rows of four chunks (format.cuh). Lane 4g+t has
// the chunk t of the rows g and g+8: its words are the operand A of mma as they
// come from memory. Operand B holds
// the activations of one chunk in two of its eight columns, high and low bytes,
// and zeros where the other chunks' lanes are: so the sums of the four chunks,
// which have different scales, come out apart, each in the lane that has the
// chunk's scale. Nothing is computed twice and nothing goes through shared
// memory but the activations.
//
// Activations are 15-bit integers with a scale for each 32: v = 128·hi + lo.
// The relative error of a product is 4e-5, where 8 bits give 5e-3. The minimum
// of a type (and the 4, 8, 16 or 32 that its integers are above zero) is
// multiplied with the sums of the activations, once for 16 or 32 columns.
#pragma once
#include "cuda.cuh"
#include "format.cuh"

// An item is a tile of a matrix (format.cuh). piece is how many bytes of a plane
// it has, whole is whether the plane is of superblocks, which two tiles share.
DEVICE constexpr int piece(int t, int plane) {
	switch (plane) {
	case 0: return t == Q8_0 || t == LLM_INT8 ? 2048 : t == Q2_K || t == Q3_K ? 512 : 1024;
	case 1: return t == Q6_K ? 512 : t == Q4_1 || t == Q5_0 || t == Q5_1 || t == Q5_K || t == Q3_K || t == Q4_K ? 256
		: t == IQ4_XS || t == MXFP4 ? 64 : 128;
	case 2: return t == Q5_1 || t == Q5_K ? 256 : t == Q5_0 || t == Q3_K || t == Q6_K ? 128 : t == Q2_K ? 64 : t == IQ4_XS ? 32 : 0;
	}
	return t == Q3_K || t == Q6_K ? 32 : 0;
}
DEVICE constexpr bool of_superblocks(int t, int plane) {
	return plane == (t == Q4_K ? 1 : t == Q5_K || t == Q2_K || t == IQ4_XS ? 2 : t == Q3_K || t == Q6_K ? 3 : -1);
}

// A tile's pieces follow each other in a slot of the ring. piece_at is where
// that of a plane begins.
DEVICE constexpr int piece_at(int t, int plane) { return plane == 0 ? 0 : piece_at(t, plane - 1) + piece(t, plane - 1); }
template <int t> DEVICE constexpr int tile_bytes() { return piece_at(t, 3) + piece(t, 3); }

// Loaded is what a lane needs of a chunk.
//
//	q  nibbles, or the first half of q8
//	b  the second half of q8; the head of q4_k and q5_k; h1 of q3_k in x
//	h  h2, or h1 in x
//	s  scales
//	d  d, or d and m, or an absmax
struct Loaded {
	uint4 q, b;
	uint2 h;
	uint32_t s, d;
};

// has_q says whether a type has 16 bytes of nibbles.
DEVICE constexpr bool has_q(int type) { return type != Q8_0 && type != LLM_INT8 && type != Q2_K && type != Q3_K; }

// piece_of is where a tile's piece of a plane begins.
template <int type> DEVICE const char *piece_of(const Planes &w, int plane, int tile) {
	return w.p[plane] + (int64_t)(of_superblocks(type, plane) ? tile >> 1 : tile) * piece(type, plane);
}

// load reads the lane's chunks of a tile, of the rows g and g+8, from where its
// pieces begin.
template <int type> DEVICE void load(Loaded v[2], const char *p0, const char *p1, const char *p2, const char *p3) {
	int lane = threadIdx.x & 31;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		int c = lane + 32 * i, r = (lane >> 2) + 8 * i;
		Loaded &l = v[i];
		if (has_q(type)) l.q = *(const uint4 *)(p0 + c * 16);
		if (type == Q8_0 || type == LLM_INT8) {
			const char *at = p0 + (c >> 3) * 256 + (c & 7) * 16;
			l.q = *(const uint4 *)at, l.b = *(const uint4 *)(at + 128);
		}
		if (type == Q2_K || type == Q3_K) l.h = *(const uint2 *)(p0 + c * 8);
		if (type == Q6_K) l.h = *(const uint2 *)(p1 + c * 8);
		if (type == Q5_0 || type == Q5_1 || type == Q5_K) l.h.x = *(const uint32_t *)(p1 + c * 4);
		if (type == Q3_K) l.b.x = *(const uint32_t *)(p1 + c * 4);
		if (type == Q4_K) l.b = *(const uint4 *)(p1 + r * 16);
		if (type == Q5_K) l.b = *(const uint4 *)(p2 + r * 16);
		if (type == Q2_K) l.s = *(const uint16_t *)(p1 + c * 2), l.d = *(const uint32_t *)(p2 + r * 4);
		if (type == Q3_K || type == Q6_K) l.s = *(const uint16_t *)(p2 + c * 2), l.d = *(const uint16_t *)(p3 + r * 2);
		if (type == IQ4_XS) l.s = *(const uint8_t *)(p1 + c), l.d = *(const uint16_t *)(p2 + r * 2);
		if (type == MXFP4) l.s = *(const uint8_t *)(p1 + c);
		if (type == Q4_0 || type == Q8_0 || type == IQ4_NL) l.d = *(const uint16_t *)(p1 + c * 2);
		if (of_levels(type) || type == LLM_INT8) l.d = *(const uint32_t *)(p1 + (lane >> 1) * 4 + 64 * i); // (c >> 1)·4, with one address for both
		if (type == Q5_0) l.d = *(const uint16_t *)(p2 + c * 2);
		if (type == Q4_1) l.d = *(const uint32_t *)(p1 + c * 4);
		if (type == Q5_1) l.d = *(const uint32_t *)(p2 + c * 4);
	}
}
template <int type> DEVICE void take(Loaded v[2], const char *slot) {
	load<type>(v, slot, slot + piece_at(type, 1), slot + piece_at(type, 2), slot + piece_at(type, 3));
}
template <int type> DEVICE void fetch_direct(Loaded v[2], const Planes &w, int tile) {
	load<type>(v, piece_of<type>(w, 0, tile), piece_of<type>(w, 1, tile), piece_of<type>(w, 2, tile), piece_of<type>(w, 3, tile));
}

// Activations are the input of a product in shared memory, by chunks: whole
// groups, filled up with zeros. The arrays are two chunks apart, so that the
// lanes that read high and low bytes together find them in different banks.
struct Activations {
	uint4 *hi0, *hi1; // (chunks): high bytes of columns 0–15, 16–31
	uint4 *lo0, *lo1; // low bytes
	uint4 *zeros;     // (4)
	int4 *meta;       // (chunks): scale (f32), and the sums of the integers of each half
};

DEVICE int groups_of(int cols) { return (cols + 127) / 128; }

// activation_bytes is what they take.
DEVICE int activation_bytes(int cols) { return groups_of(cols) * 4 * 80 + 12 * 16; }

DEVICE Activations activations(char *memory, int cols) {
	int apart = groups_of(cols) * 4 + 2;
	Activations x;
	x.hi0 = (uint4 *)memory;
	x.hi1 = x.hi0 + apart;
	x.lo0 = x.hi1 + apart;
	x.lo1 = x.lo0 + apart;
	x.zeros = x.lo1 + apart;
	x.meta = (int4 *)(x.zeros + 4);
	return x;
}

// An Input is a lane's view of Activations, in bytes from dynamic_shared: its
// part of operand B, and what belongs to its chunk.
struct Input {
	int b0, b1, by; // halves of the chunk of group 0, or zeros; to the next group
	int meta;
};

DEVICE Input input_of(const Activations &x) {
	int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
	const char *b0 = (const char *)x.zeros + ((lane >> 3) + 1 & 3) * 16, *b1 = b0; // a bank that the lanes beside do not read
	if (g >> 1 == t) b0 = (const char *)((g & 1 ? x.lo0 : x.hi0) + t), b1 = (const char *)((g & 1 ? x.lo1 : x.hi1) + t);
	const char *from = dynamic_shared();
	return {(int)(b0 - from), (int)(b1 - from), g >> 1 == t ? 64 : 0, (int)((const char *)(x.meta + t) - from)};
}

// table16 replaces the eight nibbles of v by bytes of a table of 16: low
// nibbles of the four bytes to lo, high ones to hi.
DEVICE void table16(uint32_t v, uint4 table, uint32_t &lo, uint32_t &hi) {
	uint32_t r[2];
#pragma unroll
	for (int i = 0; i < 2; i++) {
		uint32_t sel = v >> (16 * i) & 0xffff;
		uint32_t small = __byte_perm(table.x, table.y, sel & 0x7777), large = __byte_perm(table.z, table.w, sel & 0x7777);
		// bit 3 of each nibble chooses: selector i (small) or i+4 (large)
		uint32_t pick = 0x3210 | (sel & 0x8888) >> 1;
		r[i] = __byte_perm(small, large, pick);
	}
	lo = __byte_perm(r[0], r[1], 0x6420);
	hi = __byte_perm(r[0], r[1], 0x7531);
}

// two_scales says whether the halves of a chunk have scales of their own.
DEVICE constexpr bool two_scales(int type) { return type == Q6_K || type == Q3_K || type == Q2_K; }

// integers are those of a chunk, columns 0–15 and 16–31, four a word.
// tables are for levels of two bytes, whose wide ones these are.
template <int type> DEVICE void integers(uint32_t first[4], uint32_t second[4], const Loaded &v, const Tables &tables = {}) {
	const uint32_t nibbles = 0x0f0f0f0f;
	uint32_t q[4] = {v.q.x, v.q.y, v.q.z, v.q.w};
	if constexpr (of_levels(type)) {
#pragma unroll
		for (int w = 0; w < 4; w++) wide_levels<type>(first[w], second[w], q[w], tables);
	} else if (type == Q8_0 || type == LLM_INT8) {
		first[0] = v.q.x, first[1] = v.q.y, first[2] = v.q.z, first[3] = v.q.w;
		second[0] = v.b.x, second[1] = v.b.y, second[2] = v.b.z, second[3] = v.b.w;
	} else if (type == Q2_K || type == Q3_K) {
#pragma unroll
		for (int w = 0; w < 4; w++) {
			first[w] = v.h.x >> (2 * w) & 0x03030303;
			second[w] = v.h.y >> (2 * w) & 0x03030303;
			if (type == Q3_K) {
				first[w] |= (v.b.x >> w & 0x01010101) << 2;
				second[w] |= (v.b.x >> (4 + w) & 0x01010101) << 2;
			}
		}
	} else if (type == IQ4_NL || type == IQ4_XS || type == MXFP4) {
		// kvalues_iq4nl and kvalues_mxfp4 of ggml-common.h, a byte each.
		uint4 table = type == MXFP4 ? make_uint4(0x03020100, 0x0c080604, 0xfdfeff00, 0xf4f8fafc)
		                            : make_uint4(0xbfad9881, 0xf6eaddcf, 0x26190d01, 0x71594535);
#pragma unroll
		for (int w = 0; w < 4; w++) table16(q[w], table, first[w], second[w]);
	} else {
#pragma unroll
		for (int w = 0; w < 4; w++) {
			first[w] = q[w] & nibbles;
			second[w] = q[w] >> 4 & nibbles;
		}
		if (type == Q5_0 || type == Q5_1 || type == Q5_K) {
#pragma unroll
			for (int w = 0; w < 4; w++) {
				first[w] |= v.h.x << (4 - w) & 0x10101010;
				second[w] |= v.h.x >> w & 0x10101010;
			}
		}
		if (type == Q6_K) {
#pragma unroll
			for (int w = 0; w < 4; w++) {
				first[w] |= (w < 2 ? v.h.x << (4 - 2 * w) : v.h.x >> (2 * w - 4)) & 0x30303030;
				second[w] |= (w < 2 ? v.h.y << (4 - 2 * w) : v.h.y >> (2 * w - 4)) & 0x30303030;
			}
		}
	}
}

// narrow_bytes are the others.
template <int type> DEVICE void narrow_bytes(uint32_t first[4], uint32_t second[4], const Loaded &v, const Tables &tables) {
	const uint32_t q[4] = {v.q.x, v.q.y, v.q.z, v.q.w};
#pragma unroll
	for (int w = 0; w < 4; w++) narrow_levels<type>(first[w], second[w], q[w], tables);
}

// sum_unit is what sums of `scaled` are to be multiplied with, once in the end.
template <int type> DEVICE constexpr float sum_unit() { return of_levels(type) ? 1 / level_unit<type>() : type == LLM_INT8 ? 1.0f / 127 : 1; }

// scaled is the product of a chunk, number j of its superblock, in the matrix's
// numbers by sum_unit, from the sums of integers of its halves (or s0 of both).
template <int type> DEVICE float scaled(const Loaded &v, int j, int s0, int s1, int4 meta) {
	int s = s0, t0 = meta.y, t1 = meta.z, t = t0 + t1;
	float scale = __int_as_float(meta.x), sum = 0, d = h2f(v.d), m = h2f(v.d >> 16);
	switch (type) {
	case Q4_0:
		sum = d * (s - 8 * t);
		break;
	case Q5_0:
		sum = d * (s - 16 * t);
		break;
	case Q8_0: case IQ4_NL:
		sum = d * s;
		break;
	case Q4_1: case Q5_1:
		sum = d * s + m * t;
		break;
	case Q4_K: case Q5_K: { // 12 bits from bit 12j of three words: in two bytes
		int from = (j * 3 >> 1) - (j > 4 ? 4 : 0);
		uint32_t low = j > 4 ? v.b.z : v.b.y, high = j > 4 ? v.b.w : v.b.z;
		uint32_t field = __byte_perm(low, high, from * 0x11 + 0x10) >> (j & 1) * 4;
		int sc = field & 63, mn = field >> 6 & 63;
		sum = h2f(v.b.x) * (sc * s) - h2f(v.b.x >> 16) * (mn * t);
		break;
	}
	case Q6_K: case Q3_K: {
		int low = type == Q6_K ? 32 : 4;
		sum = d * ((float)((int8_t)(v.s & 255) * (s0 - low * t0)) + (float)((int8_t)(v.s >> 8) * (s1 - low * t1)));
		break;
	}
	case Q2_K: {
		int sm = v.s;
		sum = d * ((sm & 15) * s0 + (sm >> 8 & 15) * s1) - m * ((sm >> 4 & 15) * t0 + (sm >> 12) * t1);
		break;
	}
	case IQ4_XS:
		sum = d * ((int8_t)v.s * s);
		break;
	case NF4: case FP4: case LLM_INT8:
		sum = __uint_as_float(v.d) * s;
		break;
	case MXFP4: // 2^(e-127) halved: the table has twice the values
		sum = __uint_as_float(v.s < 2 ? 0x00200000 << v.s : (v.s - 1) << 23) * s;
		break;
	}
	return sum * scale;
}

// dot adds the products of a tile's rows g and g+8: the lane's chunks, number j
// of their superblocks, and its part of the input.
template <int type> DEVICE void dot(float &y0, float &y1, const Loaded v[2], int j, uint4 first, uint4 second, int4 meta, const Tables &tables) {
	uint32_t f0[4], s0[4], f1[4], s1[4];
	integers<type>(f0, s0, v[0], tables);
	integers<type>(f1, s1, v[1], tables);
	const uint32_t b0[4] = {first.x, first.y, first.z, first.w}, b1[4] = {second.x, second.y, second.z, second.w};
	int a[4] = {}, b[4] = {};
	if constexpr (of_levels(type)) { // a of wide bytes, b of narrow ones
		uint32_t g0[4], h0[4], g1[4], h1[4];
		narrow_bytes<type>(g0, h0, v[0], tables);
		narrow_bytes<type>(g1, h1, v[1], tables);
#pragma unroll
		for (int i = 0; i < 4; i += 2) {
			const uint32_t fa[4] = {f0[i], f1[i], f0[i + 1], f1[i + 1]}, sa[4] = {s0[i], s1[i], s0[i + 1], s1[i + 1]};
			const uint32_t ga[4] = {g0[i], g1[i], g0[i + 1], g1[i + 1]}, ha[4] = {h0[i], h1[i], h0[i + 1], h1[i + 1]};
			mma_s8(a, fa, b0 + i), mma_s8(b, ga, b0 + i);
			mma_s8(a, sa, b1 + i), mma_s8(b, ha, b1 + i);
		}
		y0 += scaled<type>(v[0], j, whole_level<type>(a[0] * 128 + a[1], b[0] * 128 + b[1]), 0, meta);
		y1 += scaled<type>(v[1], j, whole_level<type>(a[2] * 128 + a[3], b[2] * 128 + b[3]), 0, meta);
		return;
	}
#pragma unroll
	for (int i = 0; i < 4; i += 2) { // the words of B are neighbours, as mma wants them
		const uint32_t fa[4] = {f0[i], f1[i], f0[i + 1], f1[i + 1]}, sa[4] = {s0[i], s1[i], s0[i + 1], s1[i + 1]};
		mma_s8(a, fa, b0 + i);
		mma_s8(b, sa, b1 + i); // two sums: a product need not wait for the one before
	}
	if (!two_scales(type))
#pragma unroll
		for (int i = 0; i < 4; i++) a[i] += b[i];
	y0 += scaled<type>(v[0], j, a[0] * 128 + a[1], b[0] * 128 + b[1], meta);
	y1 += scaled<type>(v[1], j, a[2] * 128 + a[3], b[2] * 128 + b[3], meta);
}

// FOR_TYPE calls f<type>(…) for a type that is known at run time only. TYPES is
// how many types it may be: 2 for q4_k and q6_k, 4 with q8_0 and q5_0; or, where
// NF4_TYPES is defined, nf4 and what is beside it. (Code that
// is there and never runs costs speed: one token of Llama 3.2 1B goes 5 % faster
// with two types than with four.)
#ifndef TYPES
#define TYPES 16
#endif
#if TYPES > 2
#define FOR_COMMON_TYPE(f, ...) \
	case Q8_0: f<Q8_0>(__VA_ARGS__); break; \
	case Q5_0: f<Q5_0>(__VA_ARGS__); break;
#else
#define FOR_COMMON_TYPE(f, ...)
#endif
#if TYPES > 4
#define FOR_RARE_TYPE(f, ...) \
	case Q5_K: f<Q5_K>(__VA_ARGS__); break; \
	case Q4_0: f<Q4_0>(__VA_ARGS__); break; \
	case Q4_1: f<Q4_1>(__VA_ARGS__); break; \
	case Q5_1: f<Q5_1>(__VA_ARGS__); break; \
	case Q2_K: f<Q2_K>(__VA_ARGS__); break; \
	case Q3_K: f<Q3_K>(__VA_ARGS__); break; \
	case IQ4_NL: f<IQ4_NL>(__VA_ARGS__); break; \
	case IQ4_XS: f<IQ4_XS>(__VA_ARGS__); break; \
	case MXFP4: f<MXFP4>(__VA_ARGS__); break; \
	case NF4: f<NF4>(__VA_ARGS__); break; \
	case FP4: f<FP4>(__VA_ARGS__); break; \
	case LLM_INT8: f<LLM_INT8>(__VA_ARGS__); break;
#else
#define FOR_RARE_TYPE(f, ...)
#endif
#ifdef NF4_TYPES
#define FOR_TYPE(type, f, ...) \
	switch (type) { \
	case NF4: f<NF4>(__VA_ARGS__); break; \
	case Q6_K: f<Q6_K>(__VA_ARGS__); break; \
	case Q8_0: f<Q8_0>(__VA_ARGS__); break; \
	}
#else
#define FOR_TYPE(type, f, ...) \
	switch (type) { \
	case Q4_K: f<Q4_K>(__VA_ARGS__); break; \
	case Q6_K: f<Q6_K>(__VA_ARGS__); break; \
	FOR_COMMON_TYPE(f, __VA_ARGS__) \
	FOR_RARE_TYPE(f, __VA_ARGS__) \
	}
#endif
