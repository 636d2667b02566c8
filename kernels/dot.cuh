// A chunk of packed weights, on its way and multiplied.
//
// Activations are 15-bit integers with a scale for each 32: v = 128·hi + lo,
// so that a product is two dp4a where 8 bits would be one. The relative error
// of a product is 4e-5, where 8 bits give 5e-3. The minimum of a type (and the
// 4, 8, 16 or 32 that its integers are above zero) is multiplied with the sums
// of the activations, once for 16 or 32 columns.
#pragma once
#include "cuda.cuh"
#include "format.cuh"

// The ring: a slot holds what one warp needs of a chunk for each lane.
const int SLOT_Q = 0;    // 16 bytes a lane
const int SLOT_B = 512;  // 16 bytes a lane
const int SLOT_T = 1024; // 4 bytes a lane, or 16 for eight
const int SLOT_BYTES = 1152;

// An iteration is so many chunks a lane, 1<<shift apart: what it costs beside
// the products is shared, and the products wait for each other less.
template <bool RING> constexpr int unroll_shift = RING ? 2 : 1;
template <bool RING> constexpr int unroll = 1 << unroll_shift<RING>;

// Loaded is what a lane needs of its chunk. Of a 2-byte (1-byte) plane it is
// the aligned word around; which part of it follows from the chunk's number.
//
//	q     q, or the first half of q8; of q2_k and q3_k h2 in x, y
//	b     the second half of q8; of the others
//	      q6_k  h2 in x, y; scales in z; d in w
//	      q3_k  scales in x; h1 in z; d in w
//	      rest  h1 or scales in z; d, or d and m, in w
//	tail  the head of q4_k and q5_k; d of q8_0 in x
struct Loaded {
	uint4 q, b, tail;
};

// has_q says whether a type has 16 bytes of nibbles.
DEVICE constexpr bool has_q(int type) { return type != Q8_0 && type != Q2_K && type != Q3_K; }

// word4 is the aligned word that holds the bytes of entry i of a plane.
template <int bytes> DEVICE const char *word4(const char *plane, int i) {
	return plane + ((int64_t)i * bytes & ~(int64_t)3);
}

// half_of takes the 16-bit entry i out of word4<2>(plane, i).
DEVICE uint16_t half_of(uint32_t word, int i) { return i & 1 ? word >> 16 : word; }

DEVICE const char *q8_address(const char *q, int chunk, int half) {
	return q + (int64_t)(chunk >> 3) * 256 + half * 128 + (chunk & 7) * 16;
}

// fetch_async starts to copy chunk c into a slot. Lane 0 of each 8 brings the
// head of the super-block that the eight share.
template <int type> DEVICE void fetch_async(char *slot, const Planes &w, int c) {
	int lane = threadIdx.x & 31;
	char *q = slot + SLOT_Q + lane * 16, *b = slot + SLOT_B + lane * 16, *t = slot + SLOT_T, *d = b + 12;
	int64_t i = c, super = c >> 3;
	if (has_q(type)) cp_async16(q, w.p[0] + i * 16);
	if (type == Q8_0) cp_async16(q, q8_address(w.p[0], c, 0)), cp_async16(b, q8_address(w.p[0], c, 1));
	if (type == Q8_0) cp_async4(t + lane * 4, word4<2>(w.p[1], c));
	if (type == Q2_K || type == Q3_K) cp_async8(q, w.p[0] + i * 8);
	if (type == Q6_K) cp_async8(b, w.p[1] + i * 8);
	if (type == Q5_0 || type == Q5_1 || type == Q5_K || type == Q3_K) cp_async4(b + 8, w.p[1] + i * 4);
	if (type == Q4_K && (lane & 7) == 0) cp_async16(t + lane * 2, w.p[1] + super * 16);
	if (type == Q5_K && (lane & 7) == 0) cp_async16(t + lane * 2, w.p[2] + super * 16);
	if (type == Q6_K) cp_async4(b + 8, word4<2>(w.p[2], c));
	if (type == Q3_K) cp_async4(b, word4<2>(w.p[2], c));
	if (type == Q2_K) cp_async4(b + 8, word4<2>(w.p[1], c));
	if (type == IQ4_XS || type == MXFP4) cp_async4(b + 8, word4<1>(w.p[1], c));
	if (type == Q4_0 || type == IQ4_NL) cp_async4(d, word4<2>(w.p[1], c));
	if (type == Q5_0) cp_async4(d, word4<2>(w.p[2], c));
	if (type == Q4_1) cp_async4(d, w.p[1] + i * 4);
	if (type == Q5_1) cp_async4(d, w.p[2] + i * 4);
	if (type == Q2_K) cp_async4(d, w.p[2] + super * 4);
	if (type == Q6_K || type == Q3_K) cp_async4(d, word4<2>(w.p[3], c >> 3));
	if (type == IQ4_XS) cp_async4(d, word4<2>(w.p[2], c >> 3));
}

template <int type> DEVICE void take(Loaded &v, const char *slot) {
	int lane = threadIdx.x & 31;
	v.q = *(const uint4 *)(slot + SLOT_Q + lane * 16);
	if (type != Q4_K) v.b = *(const uint4 *)(slot + SLOT_B + lane * 16);
	if (type == Q8_0) v.tail.x = *(const uint32_t *)(slot + SLOT_T + lane * 4);
	if (type == Q4_K || type == Q5_K) v.tail = *(const uint4 *)(slot + SLOT_T + (lane >> 3) * 16);
}

// fetch_direct is fetch_async and take without the ring.
template <int type> DEVICE void fetch_direct(Loaded &v, const Planes &w, int c) {
	int64_t i = c, super = c >> 3;
	if (has_q(type)) v.q = load16(w.p[0] + i * 16);
	if (type == Q8_0) v.q = load16(q8_address(w.p[0], c, 0)), v.b = load16(q8_address(w.p[0], c, 1));
	if (type == Q8_0) v.tail.x = load4(word4<2>(w.p[1], c));
	if (type == Q2_K || type == Q3_K) {
		uint2 h = load8(w.p[0] + i * 8);
		v.q.x = h.x, v.q.y = h.y;
	}
	if (type == Q6_K) {
		uint2 h = load8(w.p[1] + i * 8);
		v.b.x = h.x, v.b.y = h.y;
	}
	if (type == Q5_0 || type == Q5_1 || type == Q5_K || type == Q3_K) v.b.z = load4(w.p[1] + i * 4);
	if (type == Q4_K) v.tail = load16(w.p[1] + super * 16);
	if (type == Q5_K) v.tail = load16(w.p[2] + super * 16);
	if (type == Q6_K) v.b.z = load4(word4<2>(w.p[2], c));
	if (type == Q3_K) v.b.x = load4(word4<2>(w.p[2], c));
	if (type == Q2_K) v.b.z = load4(word4<2>(w.p[1], c));
	if (type == IQ4_XS || type == MXFP4) v.b.z = load4(word4<1>(w.p[1], c));
	if (type == Q4_0 || type == IQ4_NL) v.b.w = load4(word4<2>(w.p[1], c));
	if (type == Q5_0) v.b.w = load4(word4<2>(w.p[2], c));
	if (type == Q4_1) v.b.w = load4(w.p[1] + i * 4);
	if (type == Q5_1) v.b.w = load4(w.p[2] + i * 4);
	if (type == Q2_K) v.b.w = load4(w.p[2] + super * 4);
	if (type == Q6_K || type == Q3_K) v.b.w = load4(word4<2>(w.p[3], c >> 3));
	if (type == IQ4_XS) v.b.w = load4(word4<2>(w.p[2], c >> 3));
}

// Activations are the input of a product in shared memory, by chunks.
struct Activations {
	uint4 *hi0, *hi1; // (chunks): high bytes of columns 0–15, 16–31
	uint4 *lo0, *lo1; // low bytes
	int4 *meta;       // scale (f32), and the sums of the integers of each half
};

// activation_bytes is what they take.
DEVICE int activation_bytes(int cols) { return cols / 32 * (64 + 16); }

DEVICE Activations activations(char *memory, int chunks) {
	Activations x;
	x.hi0 = (uint4 *)memory;
	x.hi1 = x.hi0 + chunks;
	x.lo0 = x.hi1 + chunks;
	x.lo1 = x.lo0 + chunks;
	x.meta = (int4 *)(x.lo1 + chunks);
	return x;
}

// A Sum is a product of 16 integers of both bytes of the activations.
struct Sum {
	int h, l;
};

// dot16 adds 16 products of signed bytes, dot16u of unsigned ones.
DEVICE void dot16(Sum &s, const uint32_t w[4], uint4 hi, uint4 lo) {
	s.h = dp4a(w[0], hi.x, s.h), s.l = dp4a(w[0], lo.x, s.l);
	s.h = dp4a(w[1], hi.y, s.h), s.l = dp4a(w[1], lo.y, s.l);
	s.h = dp4a(w[2], hi.z, s.h), s.l = dp4a(w[2], lo.z, s.l);
	s.h = dp4a(w[3], hi.w, s.h), s.l = dp4a(w[3], lo.w, s.l);
}
DEVICE void dot16u(Sum &s, const uint32_t w[4], uint4 hi, uint4 lo) {
	s.h = dp4a_u(w[0], hi.x, s.h), s.l = dp4a_u(w[0], lo.x, s.l);
	s.h = dp4a_u(w[1], hi.y, s.h), s.l = dp4a_u(w[1], lo.y, s.l);
	s.h = dp4a_u(w[2], hi.z, s.h), s.l = dp4a_u(w[2], lo.z, s.l);
	s.h = dp4a_u(w[3], hi.w, s.h), s.l = dp4a_u(w[3], lo.w, s.l);
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

// dot is the product of a chunk of weights with the activations of its
// columns: chunk c of the matrix, chunk i of the row.
template <int type> DEVICE float dot(const Loaded &v, int c, const Activations &x, int i) {
	const uint32_t nibbles = 0x0f0f0f0f;
	const bool is_signed = type == Q8_0 || type == IQ4_NL || type == IQ4_XS || type == MXFP4;
	const bool shifted = type == Q4_0 || type == Q4_1 || type == Q4_K; // high nibbles stay where they are: 16 times as much
	uint32_t q[4] = {v.q.x, v.q.y, v.q.z, v.q.w}, first[4], second[4];
	if (type == Q8_0) {
		first[0] = v.q.x, first[1] = v.q.y, first[2] = v.q.z, first[3] = v.q.w;
		second[0] = v.b.x, second[1] = v.b.y, second[2] = v.b.z, second[3] = v.b.w;
	} else if (type == Q2_K || type == Q3_K) {
#pragma unroll
		for (int w = 0; w < 4; w++) {
			first[w] = v.q.x >> (2 * w) & 0x03030303;
			second[w] = v.q.y >> (2 * w) & 0x03030303;
			if (type == Q3_K) {
				first[w] |= (v.b.z >> w & 0x01010101) << 2;
				second[w] |= (v.b.z >> (4 + w) & 0x01010101) << 2;
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
			second[w] = shifted ? q[w] & ~nibbles : q[w] >> 4 & nibbles;
		}
		if (type == Q5_0 || type == Q5_1 || type == Q5_K) {
#pragma unroll
			for (int w = 0; w < 4; w++) {
				first[w] |= v.b.z << (4 - w) & 0x10101010;
				second[w] |= v.b.z >> w & 0x10101010;
			}
		}
		if (type == Q6_K) {
#pragma unroll
			for (int w = 0; w < 4; w++) {
				first[w] |= (w < 2 ? v.b.x << (4 - 2 * w) : v.b.x >> (2 * w - 4)) & 0x30303030;
				second[w] |= (w < 2 ? v.b.y << (4 - 2 * w) : v.b.y >> (2 * w - 4)) & 0x30303030;
			}
		}
	}
	Sum a = {0, 0}, b = {0, 0}; // of the first and the second half
	if (is_signed) {
		dot16(a, first, x.hi0[i], x.lo0[i]);
		dot16(b, second, x.hi1[i], x.lo1[i]);
	} else {
		dot16u(a, first, x.hi0[i], x.lo0[i]);
		dot16u(b, second, x.hi1[i], x.lo1[i]);
	}
	if (shifted) b.h >>= 4, b.l >>= 4;
	int s0 = a.h * 128 + a.l, s1 = b.h * 128 + b.l, s = (a.h + b.h) * 128 + (a.l + b.l);
	int4 meta = x.meta[i];
	int t0 = meta.y, t1 = meta.z, t = t0 + t1;
	float scale = __int_as_float(meta.x), sum = 0;
	switch (type) {
	case Q4_0:
		sum = h2f(half_of(v.b.w, c)) * (s - 8 * t);
		break;
	case Q5_0:
		sum = h2f(half_of(v.b.w, c)) * (s - 16 * t);
		break;
	case Q8_0:
		sum = h2f(half_of(v.tail.x, c)) * s;
		break;
	case IQ4_NL:
		sum = h2f(half_of(v.b.w, c)) * s;
		break;
	case Q4_1: case Q5_1:
		sum = h2f(v.b.w) * s + h2f(v.b.w >> 16) * t;
		break;
	case Q4_K: case Q5_K: {
		int j = threadIdx.x & 7, word = j * 12 >> 5; // c & 7; its field is 12 bits from bit 12j
		uint32_t low = word == 0 ? v.tail.y : word == 1 ? v.tail.z : v.tail.w, high = word == 0 ? v.tail.z : v.tail.w;
		uint32_t field = __funnelshift_r(low, high, j * 12 & 31);
		int sc = field & 63, mn = field >> 6 & 63;
		sum = h2f(v.tail.x) * (sc * s) - h2f(v.tail.x >> 16) * (mn * t);
		break;
	}
	case Q6_K: case Q3_K: {
		int low = type == Q6_K ? 32 : 4;
		uint16_t sc = half_of(type == Q6_K ? v.b.z : v.b.x, c);
		sum = (float)((int8_t)(sc & 255) * (s0 - low * t0)) + (float)((int8_t)(sc >> 8) * (s1 - low * t1));
		sum *= h2f(half_of(v.b.w, c >> 3));
		break;
	}
	case Q2_K: {
		uint16_t sm = half_of(v.b.z, c);
		sum = h2f(v.b.w) * ((sm & 15) * s0 + (sm >> 8 & 15) * s1) - h2f(v.b.w >> 16) * ((sm >> 4 & 15) * t0 + (sm >> 12) * t1);
		break;
	}
	case IQ4_XS:
		sum = h2f(half_of(v.b.w, c >> 3)) * ((int8_t)(v.b.z >> (8 * (c & 3))) * s);
		break;
	case MXFP4: {
		uint32_t e = v.b.z >> (8 * (c & 3)) & 255; // 2^(e-127) halved: the table has twice the values
		sum = __uint_as_float(e < 2 ? 0x00200000 << e : (e - 1) << 23) * s;
		break;
	}
	}
	return sum * scale;
}

// FOR_TYPE calls f<type>(…) for a type that is known at run time only.
#define FOR_TYPE(type, f, ...) \
	switch (type) { \
	case Q4_K: f<Q4_K>(__VA_ARGS__); break; \
	case Q6_K: f<Q6_K>(__VA_ARGS__); break; \
	case Q8_0: f<Q8_0>(__VA_ARGS__); break; \
	case Q5_0: f<Q5_0>(__VA_ARGS__); break; \
	case Q5_K: f<Q5_K>(__VA_ARGS__); break; \
	case Q4_0: f<Q4_0>(__VA_ARGS__); break; \
	case Q4_1: f<Q4_1>(__VA_ARGS__); break; \
	case Q5_1: f<Q5_1>(__VA_ARGS__); break; \
	case Q2_K: f<Q2_K>(__VA_ARGS__); break; \
	case Q3_K: f<Q3_K>(__VA_ARGS__); break; \
	case IQ4_NL: f<IQ4_NL>(__VA_ARGS__); break; \
	case IQ4_XS: f<IQ4_XS>(__VA_ARGS__); break; \
	case MXFP4: f<MXFP4>(__VA_ARGS__); break; \
	}
