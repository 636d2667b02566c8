// A product of packed weights with one row of activations: y = W·x.
//
// It is bound by reading W once, so everything serves the flow of weights.
// A warp takes rows; `lanes` of its lanes share a row, each a chunk of 32
// columns at a time. What a chunk needs is fetched several iterations ahead,
// also over the border to the next product: on sm_80 and newer into a ring in
// shared memory (cp.async) where there is room for one, else into registers.
//
// Activations are 15-bit integers with a scale for each 32: v = 128·hi + lo,
// so that a product is two dp4a where 8 bits would be one. The relative error
// of a product is 4e-5, where 8 bits give 5e-3. The minimum of a type (and the
// 8, 16 or 32 that its integers are above zero) is multiplied with the sums of
// the activations, once for 16 or 32 columns.
#pragma once
#include "cuda.cuh"
#include "format.cuh"

const int MATVEC_THREADS = 512;
const int MATVEC_WARPS = MATVEC_THREADS / 32;

// How the results of a product leave it.
const int PRODUCT_STORE = 0;    // dst[row] = y
const int PRODUCT_ADD = 1;      // dst[row] = residual[row] + y
const int PRODUCT_GLU = 2;      // dst[row] = fn(y of part 0)·(y of part 1)

// Functions of GLU, tensor.Fn's numbers.
const int FN_SIGMOID = 9, FN_RELU = 10, FN_SILU = 11, FN_GELU = 12, FN_GELU_ERF = 13;

// A Part is one matrix of a product.
struct Part {
	Planes w;       // rows × cols
	uint64_t dst;   // f32 (rows)
	uint64_t bias;  // f32 (rows), or 0
	int32_t type;   // GGUF type number
	int32_t rows;
	int32_t first;  // number of the first chunk: rows may be some of a larger matrix
	int32_t unused;
};

// A Product is up to three matrices on one input, with what comes before and
// after. With post the input is first x + rms_norm(post)·post_norm, and block
// 0 writes that to sum. With norm the input is rms_norm(x)·norm_weight.
struct Product {
	Part part[3];
	uint64_t x;           // f32 (cols)
	uint64_t norm_weight; // f32 (cols), or 0 for ones
	uint64_t post;        // f32 (cols), or 0
	uint64_t post_weight; // f32 (cols), or 0 for ones
	uint64_t sum;         // f32 (cols); not x
	uint64_t residual;    // f32 (rows of part 0)
	uint64_t best;        // {f32 value, i32 row} a block: the largest result of part 0, or 0
	int32_t cols;         // a multiple of 32
	int32_t parts;
	int32_t mode;
	int32_t fn;           // of GLU
	int32_t shift;        // 1<<shift lanes share a row: 2 to 5
	int32_t norm;         // 1: rms_norm x
	float eps;
	float cap;            // results become cap·tanh(y/cap); 0 is off
	int32_t units[3];     // of the parts: rows over 32>>shift, rounded up
	int32_t skew[3];      // units of the parts before, modulo all warps; 0 of a GLU
};

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

// A unit is 32>>shift rows of a part. The units of all parts, one after the
// other, go round the blocks, so that each gets as many, and in a block round
// the warps; the two parts of a GLU go round alike.
DEVICE int stride() { return MATVEC_WARPS * gridDim.x; }
DEVICE int first_unit(const Product &p, int part) {
	int unit = (threadIdx.x >> 5) * gridDim.x + blockIdx.x - p.skew[part];
	return unit < 0 ? unit + stride() : unit;
}

// iterations is how many a row takes.
template <bool RING> DEVICE int iterations(const Product &p) {
	return (p.cols / 32 + (unroll<RING> << p.shift) - 1) >> (p.shift + unroll_shift<RING>);
}

// A Flow brings a warp's weights, iteration after iteration, unit after unit,
// into the next product as soon as that is known: one iteration is in use, the
// next on its way.
struct Flow {
	int ring;             // where this warp's 2·unroll slots begin in dynamic_shared
	int put;              // half of them that is filled next
	int ahead;            // 1: an iteration is on its way
	int p, next;          // product that is fetched, what follows it or -1: of all
	int part, unit;       // of it; part -1 is before the first
	int chunk, col, left; // of the unit; iterations left
};

// begin begins the unit f.unit of a part.
DEVICE void begin(Flow &f, const Part &part, int shift, int chunks, int rounds) {
	int lane = threadIdx.x & 31, row = (f.unit << (5 - shift)) + (lane >> shift), col = lane & ((1 << shift) - 1);
	f.col = row < part.rows ? col : chunks; // past the end: nothing to copy
	f.chunk = part.first + row * chunks + col;
	f.left = rounds;
}

// start begins the next unit of any part. It reports whether there is one.
template <bool RING> DEVICE bool start(Flow &f, const Product *all) {
	if (f.part < 0) f.part = 0, f.unit = first_unit(all[f.p], 0);
	else f.unit += stride();
	while (f.part >= all[f.p].parts || f.unit >= all[f.p].units[f.part]) {
		if (f.part >= all[f.p].parts) {
			if (f.next < 0) return false;
			f.p = f.next, f.next = -1, f.part = 0;
		} else if (++f.part == all[f.p].parts) {
			continue;
		}
		f.unit = first_unit(all[f.p], f.part);
	}
	const Product &p = all[f.p];
	begin(f, p.part[f.part], p.shift, p.cols / 32, iterations<RING>(p));
	return true;
}

// fetch starts the copies of one iteration.
template <int type, bool RING> DEVICE void fetch(Flow &f, Loaded pending[unroll<RING>], const Planes &w, int shift, int chunks) {
	char *slot = dynamic_shared() + f.ring + f.put * (unroll<RING> * SLOT_BYTES);
	if (f.col + (unroll<RING> - 1 << shift) < chunks) { // all of them, without a branch for each
#pragma unroll
		for (int u = 0; u < unroll<RING>; u++) {
			if (RING) fetch_async<type>(slot + u * SLOT_BYTES, w, f.chunk + (u << shift));
			else fetch_direct<type>(pending[u], w, f.chunk + (u << shift));
		}
	} else if (RING) {
#pragma unroll 1
		for (int u = 0; f.col + (u << shift) < chunks; u++) fetch_async<type>(slot + u * SLOT_BYTES, w, f.chunk + (u << shift));
	} else if (f.col < chunks) {
		fetch_direct<type>(pending[0], w, f.chunk);
	}
	cp_async_commit();
	f.put ^= 1, f.ahead = 1, f.left--;
	f.col += unroll<RING> << shift, f.chunk += unroll<RING> << shift;
}
template <int type> DEVICE void fetch_ring(Flow &f, const Planes &w, int shift, int chunks) { fetch<type, true>(f, 0, w, shift, chunks); }
template <int type> DEVICE void fetch_loaded(Flow &f, Loaded *pending, const Planes &w, int shift, int chunks) {
	fetch<type, false>(f, pending, w, shift, chunks);
}

// A Fetched is what fetch_next returns.
struct Fetched {
	Flow f;
	Loaded v[unroll<false>];
};

// fetch_next fetches an iteration of whatever comes next, if anything does. It
// is called where the part changes, and is no part of the loops. ONLY is the
// one type that there is, or -1.
template <bool RING, int ONLY> DEVICE_CALL Fetched fetch_next(Flow f, const Product *all) {
	Fetched r;
	if (f.left > 0 || start<RING>(f, all)) {
		const Product &p = all[f.p];
		const Part &part = p.part[f.part];
		Planes w = part.w;
		int shift = p.shift, chunks = p.cols / 32;
		if constexpr (ONLY >= 0 && RING) fetch_ring<ONLY>(f, w, shift, chunks);
		else if constexpr (ONLY >= 0) fetch_loaded<ONLY>(f, r.v, w, shift, chunks);
		else if constexpr (RING) FOR_TYPE(part.type, fetch_ring, f, w, shift, chunks)
		else FOR_TYPE(part.type, fetch_loaded, f, r.v, w, shift, chunks)
	}
	r.f = f;
	return r;
}

template <bool RING, int ONLY> DEVICE void fetch_any(Flow &f, Loaded *pending, const Product *all) {
	Fetched next = fetch_next<RING, ONLY>(f, all);
	f = next.f;
	if (!RING && f.ahead)
		for (int u = 0; u < unroll<RING>; u++) pending[u] = next.v[u];
}

// start_flow begins before product p. The ring, MATVEC_WARPS·2·unroll slots,
// begins `ring` bytes behind dynamic_shared.
DEVICE Flow start_flow(int ring, int p) {
	Flow f;
	f.ring = ring + (threadIdx.x >> 5) * (2 * unroll<true> * SLOT_BYTES);
	f.p = p, f.next = -1, f.part = -1;
	f.put = f.ahead = f.unit = f.left = f.chunk = f.col = 0;
	return f;
}

// A Parked is a flow that waits in shared memory, so that what runs meanwhile
// has the registers. What was in registers is fetched again.
struct Parked {
	int p, next, put, ahead, part, unit, left;
};

DEVICE void park(const Flow &f, Parked *memory) {
	__syncwarp();
	if ((threadIdx.x & 31) == 0) *memory = {f.p, f.next, f.put, f.ahead, f.part, f.unit, f.left};
	__syncwarp();
}

template <bool RING> DEVICE Flow resume(const Parked *memory, int ring, const Product *all) {
	Flow f = start_flow(ring, memory->p);
	f.next = memory->next, f.put = memory->put, f.ahead = memory->ahead;
	f.part = memory->part, f.unit = memory->unit;
	int left = memory->left;
	if (!RING && f.ahead) f.ahead = 0, left++;
	if (left == 0) return f;
	const Product &p = all[f.p];
	begin(f, p.part[f.part], p.shift, p.cols / 32, iterations<RING>(p));
	int done = (f.left - left) * (unroll<RING> << p.shift);
	f.col += done, f.chunk += done, f.left = left;
	return f;
}

// copy_words copies by all threads of the block; no barrier.
DEVICE void copy_words(void *dst, const void *src, int bytes) {
	for (int i = threadIdx.x; i < bytes / 4; i += blockDim.x) ((uint32_t *)dst)[i] = ((const uint32_t *)src)[i];
}

// block_sum adds over the block. `memory` holds a number a warp and belongs to
// this sum until the next __syncthreads.
DEVICE float block_sum(float v, float *memory) {
	v = warp_sum(v);
	if ((threadIdx.x & 31) == 0) memory[threadIdx.x >> 5] = v;
	__syncthreads();
	v = 0;
	for (int i = 0; i < MATVEC_WARPS; i++) v += memory[i];
	return v;
}

DEVICE float4 ones_or(uint64_t weights, int i) {
	return weights ? __ldg((const float4 *)((const float *)weights + i)) : make_float4(1, 1, 1, 1);
}

// quantise writes four columns from i on; eight threads hold a chunk.
DEVICE void quantise(const Activations &x, int i, float4 v, bool inside) {
	float most = fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w)));
	for (int k = 1; k < 8; k *= 2) most = fmaxf(most, __shfl_xor_sync(full_warp, most, k));
	const float limit = 16255; // 127·128 - 1: the high byte ends at 127
	float inverse = most > 1e-30f ? __fdividef(limit, most) : 0;
	int q[4] = {__float2int_rn(v.x * inverse), __float2int_rn(v.y * inverse), __float2int_rn(v.z * inverse), __float2int_rn(v.w * inverse)};
	uint32_t hi = 0, lo = 0;
	int sum = 0;
#pragma unroll
	for (int k = 0; k < 4; k++) {
		int h = (q[k] + 64) >> 7;
		hi |= (uint32_t)(h & 255) << 8 * k;
		lo |= (uint32_t)((q[k] - h * 128) & 255) << 8 * k;
		sum += q[k];
	}
	sum += __shfl_xor_sync(full_warp, sum, 1);
	sum += __shfl_xor_sync(full_warp, sum, 2);
	if (!inside) return;
	int c = i / 32, word = i / 4 & 3, second = i / 16 & 1;
	((uint32_t *)((second ? x.hi1 : x.hi0) + c))[word] = hi;
	((uint32_t *)((second ? x.lo1 : x.lo0) + c))[word] = lo;
	if (word == 0) ((int *)(x.meta + c))[1 + second] = sum;
	if ((i & 31) == 0) ((float *)(x.meta + c))[0] = most * (1 / limit);
}

// prepare brings the input of p into shared memory and returns the factor that
// every result still has to be multiplied with: the norm's, so that its sum
// and the integers come from one pass. sums: 2·MATVEC_WARPS numbers.
DEVICE float prepare(const Product &p, const Activations &x, float *sums) {
	const int step = 4 * MATVEC_THREADS, many = 4; // columns of the block at a time; of those loaded together
	const float *in = (const float *)p.x, *post = (const float *)p.post;
	float scale = 0, square = 0;
	if (post) {
		for (int i = 4 * threadIdx.x; i < p.cols; i += step) {
			float4 h = load_fresh4(post + i);
			scale += h.x * h.x + h.y * h.y + h.z * h.z + h.w * h.w;
		}
		scale = rsqrtf(block_sum(scale, sums + MATVEC_WARPS) / p.cols + p.eps);
	}
	for (int base = 4 * (int)(threadIdx.x & ~31); base < p.cols; base += many * step) { // the same for a warp
		float4 v[many];
#pragma unroll
		for (int k = 0; k < many; k++) {
			int i = base + 4 * (threadIdx.x & 31) + k * step;
			v[k] = i < p.cols ? load_fresh4(in + i) : make_float4(0, 0, 0, 0);
		}
#pragma unroll
		for (int k = 0; k < many; k++) {
			int i = base + 4 * (threadIdx.x & 31) + k * step;
			bool inside = i < p.cols;
			if (base + k * step >= p.cols) break;
			if (post && inside) {
				float4 h = load_fresh4(post + i), w = ones_or(p.post_weight, i);
				v[k].x += h.x * scale * w.x, v[k].y += h.y * scale * w.y, v[k].z += h.z * scale * w.z, v[k].w += h.w * scale * w.w;
				if (blockIdx.x == 0) *(float4 *)((float *)p.sum + i) = v[k];
			}
			if (p.norm && inside) {
				float4 w = ones_or(p.norm_weight, i);
				square += v[k].x * v[k].x + v[k].y * v[k].y + v[k].z * v[k].z + v[k].w * v[k].w;
				v[k].x *= w.x, v[k].y *= w.y, v[k].z *= w.z, v[k].w *= w.w;
			}
			quantise(x, i, v[k], inside);
		}
	}
	if (p.norm) return rsqrtf(block_sum(square, sums) / p.cols + p.eps);
	__syncthreads();
	return 1;
}

DEVICE float glu(int fn, float g) {
	switch (fn) {
	case FN_SILU: return __fdividef(g, 1 + __expf(-g)); // g below -88: 0, as it should be
	case FN_GELU: return 0.5f * g * (1 + tanhf(0.7978845608f * (g + 0.044715f * g * g * g)));
	case FN_GELU_ERF: return 0.5f * g * (1 + erff(g * 0.7071067812f));
	case FN_RELU: return fmaxf(g, 0);
	}
	return __fdividef(1, 1 + __expf(-g)); // sigmoid
}

// A Best is the largest result and its row, the first of equals.
struct Best {
	float value;
	int32_t row;
};

DEVICE Best better(Best a, Best b) {
	return b.row >= 0 && (a.row < 0 || b.value > a.value || (b.value == a.value && b.row < a.row)) ? b : a;
}

// block_best writes the best of the block for block 0 to compare.
DEVICE void block_best(Best b, Best *out, Best *memory) {
	for (int i = 16; i > 0; i /= 2) {
		Best o = {__shfl_xor_sync(full_warp, b.value, i), __shfl_xor_sync(full_warp, b.row, i)};
		b = better(b, o);
	}
	if ((threadIdx.x & 31) == 0) memory[threadIdx.x >> 5] = b;
	__syncthreads();
	if (threadIdx.x > 0) return;
	for (int i = 1; i < MATVEC_WARPS; i++) b = better(b, memory[i]);
	out[blockIdx.x] = b;
}

// What the units of a product leave for each other.
struct Results {
	float factor;         // of all results (prepare)
	float *gates;         // GATES numbers of this warp: results of the first part of a GLU
	Best best;
};
const int GATES = 128;

// run computes this warp's units of one part of product all[at].
template <int type, bool RING, int ONLY>
DEVICE void run(const Product *all, int at, int index, Flow &f, Loaded *pending, const Activations &x, Results &r) {
	const int U = unroll<RING>;
	const Product &p = all[at];
	const Part &part = p.part[index];
	const Planes w = part.w;
	const int chunks = p.cols / 32, shift = p.shift, rounds = iterations<RING>(p), units = p.units[index], step = stride();
	const int lane = threadIdx.x & 31, first = lane & ((1 << shift) - 1);
	int n = lane >> shift; // of gates
	for (int unit = first_unit(p, index); unit < units; unit += step, n += 32 >> shift) {
		int row = (unit << (5 - shift)) + (lane >> shift), col = row < part.rows ? first : chunks, c = part.first + row * chunks + first;
		float y = 0, extra = 0; // loaded before it is needed
		if (col == 0 && part.bias) extra = __ldg((const float *)part.bias + row);
		if (col == 0 && p.mode == PRODUCT_ADD) extra += load_fresh((const float *)p.residual + row);
		for (int i = 0; i < rounds; i++) {
			Loaded loaded[U];
			const char *slot = dynamic_shared() + f.ring + (f.put ^ 1) * (U * SLOT_BYTES);
			if (RING) {
				cp_async_wait<0>();
				__syncwarp(); // the copies of other lanes, too; and all have read the other slots
			} else {
				for (int u = 0; u < U; u++) loaded[u] = pending[u];
			}
			f.ahead = 0;
			bool here = f.p == at && f.part == index;
			if (here && f.left == 0 && f.unit + step < units) f.unit += step, begin(f, part, shift, chunks, rounds);
			if (here && f.left > 0) fetch<type, RING>(f, pending, w, shift, chunks);
			else fetch_any<RING, ONLY>(f, pending, all);
			if (col + (U - 1 << shift) < chunks) { // all of them, side by side
#pragma unroll
				for (int u = 0; u < U; u++) {
					Loaded v;
					if (RING) take<type>(v, slot + u * SLOT_BYTES);
					else v = loaded[u];
					y += dot<type>(v, c + (u << shift), x, col + (u << shift));
				}
			} else if (RING) {
#pragma unroll 1
				for (int u = 0; col + (u << shift) < chunks; u++) {
					Loaded v;
					take<type>(v, slot + u * SLOT_BYTES);
					y += dot<type>(v, c + (u << shift), x, col + (u << shift));
				}
			} else if (col < chunks) {
				y += dot<type>(loaded[0], c, x, col);
			}
			col += U << shift, c += U << shift;
		}
		for (int i = 1 << shift >> 1; i > 0; i /= 2) y += __shfl_xor_sync(full_warp, y, i);
		if (first != 0 || row >= part.rows) continue;
		y = y * r.factor + extra;
		if (p.mode == PRODUCT_GLU && index == 0) {
			r.gates[n] = y;
			continue;
		}
		if (p.mode == PRODUCT_GLU) y *= glu(p.fn, r.gates[n]);
		if (p.cap != 0) y = p.cap * tanhf(y / p.cap);
		((float *)p.part[p.mode == PRODUCT_GLU ? 0 : index].dst)[row] = y;
		if (y == y) r.best = better(r.best, {y, row});
	}
}
template <int type> DEVICE void run_ring(const Product *all, int at, int index, Flow &f, const Activations &x, Results &r) {
	run<type, true, -1>(all, at, index, f, 0, x, r);
}
template <int type> DEVICE void run_loaded(const Product *all, int at, int index, Flow &f, Loaded *pending, const Activations &x, Results &r) {
	run<type, false, -1>(all, at, index, f, pending, x, r);
}

// product computes all[at] with its input in x. f brings its weights, and
// begins to bring those of f.next. gates: GATES numbers a warp. ONLY is the
// type of all parts, or -1.
template <bool RING, int ONLY>
DEVICE void product(const Product *all, int at, Flow &f, Loaded *pending, const Activations &x, float factor, float *gates, Best *memory) {
	const Product &p = all[at];
	// A warp that had nothing to do of the last product has not come here yet.
	if (!f.ahead) fetch_any<RING, ONLY>(f, pending, all);
	Results r = {factor, gates + (threadIdx.x >> 5) * GATES, {0, -1}};
	for (int index = 0; index < p.parts; index++) {
		if constexpr (ONLY >= 0) run<ONLY, RING, ONLY>(all, at, index, f, pending, x, r);
		else if constexpr (RING) FOR_TYPE(p.part[index].type, run_ring, all, at, index, f, x, r)
		else FOR_TYPE(p.part[index].type, run_loaded, all, at, index, f, pending, x, r)
	}
	if (p.best) block_best(r.best, (Best *)p.best, memory);
}
