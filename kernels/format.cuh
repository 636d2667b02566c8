// How weights lie on the card, and what numbers they are: the device's twin of
// the decoders of package tensor.
//
// A weight is read in chunks of 32 numbers along a row: number i of a chunk is
// d[i/16]·q[i] + m[i/16], q a signed byte. That holds for every quantised type.
// Two forms exist:
//
// Raw: the blocks of the file (package tensor states them), for types that few
// models use and for tensors that are written at run time. p[0] is the first.
//
// Planes: integers, their high bits and their scales apart, each in an array
// over the whole matrix, in the order of tiles of 16 rows and 4 chunks, which a
// warp multiplies at once (dot.cuh): of a tile it reads consecutive bytes. c is
// a chunk's number in that order (chunk_at): tiles along a row of tiles, rows of
// a tile, chunks of a row. s is a superblock's (super_at), 8 chunks of a row, in
// the order of pairs of tiles and of their rows. Rows and chunks are filled up
// with zeros to whole tiles. Planes begin at multiples of 256 bytes.
//
//	q    16 B a chunk: byte b is number b (low nibble) and 16+b (high nibble)
//	q8   32 B a chunk: numbers 16h… at (c/8)·256 + h·128 + (c mod 8)·16; whole
//	     groups of 8 chunks, two rows of a tile
//	h1   4 B a chunk, a bit a number: number 4w+i at bit 8i+w, 16+4w+i at 8i+4+w
//	h2   8 B a chunk, a word for each 16 numbers: number 4w+i in bits 8i+2w, +1
//
//	q4_0    q, half d[c]                       d·(q − 8)
//	q4_1    q, half {d, m}[c]                  d·q + m
//	q5_0    q, h1, half d[c]                   d·(q − 16)
//	q5_1    q, h1, half {d, m}[c]              d·q + m
//	q8_0    q8, half d[c]                      d·q
//	q2_k    h2, {u4 s, o}[2c], half {d, m}[s]  d·s·q − m·o
//	q3_k    h2, h1, i8 s[2c], half d[s]        d·s·(q − 4)
//	q4_k    q, head[s]                         d·s·q − m·o
//	q5_k    q, h1, head[s]                     d·s·q − m·o
//	q6_k    q, h2, i8 s[2c], half d[s]         d·s·(q − 32)
//	iq4_nl  q, half d[c]                       d·level[q]
//	iq4_xs  q, i8 s[c], half d[s]              d·s·level[q]
//	mxfp4   q, e8m0 e[c]                       2^(e−128)·level[q]
//	nf4     q, f32 absmax[c/2]                 absmax·level[q]; q as levels.cuh says
//	fp4     the same
//	llm_int8  q8, f32 absmax[c/2]              q·absmax·(1/127)
//
//	head: half d, half m, then eight fields of 12 bits (6 of s, 6 of o)
//
// The planes of q4_k take 144 bytes a superblock, as the file's blocks do, but
// are read with no unaligned word and no scale twice.
#pragma once

#include "cuda.cuh"

// Type numbers of GGUF (ggml.h, enum ggml_type).
const int F32 = 0, F16 = 1, Q4_0 = 2, Q4_1 = 3, Q5_0 = 6, Q5_1 = 7, Q8_0 = 8, Q8_1 = 9;
const int Q2_K = 10, Q3_K = 11, Q4_K = 12, Q5_K = 13, Q6_K = 14, Q8_K = 15;
const int IQ2_XXS = 16, IQ2_XS = 17, IQ3_XXS = 18, IQ1_S = 19, IQ4_NL = 20, IQ3_S = 21, IQ2_S = 22, IQ4_XS = 23;
const int I8 = 24, I16 = 25, I32 = 26, I64 = 27, F64 = 28, IQ1_M = 29, BF16 = 30;
const int TQ1_0 = 34, TQ2_0 = 35, MXFP4 = 39, NVFP4 = 40, Q1_0 = 41, Q2_0 = 42;
const int NF4 = 56, FP4 = 57, LLM_INT8 = 58; // of tensor alone

#include "grids.cuh"

// RAW added to a type that has planes names its raw form.
const int RAW = 64;

// Lists of types, to name a kernel for each: X(type, name).
#define PACKED_TYPES(X) X(Q4_0, q4_0) X(Q4_1, q4_1) X(Q5_0, q5_0) X(Q5_1, q5_1) X(Q8_0, q8_0) X(Q2_K, q2_k) X(Q3_K, q3_k) \
	X(Q4_K, q4_k) X(Q5_K, q5_k) X(Q6_K, q6_k) X(IQ4_NL, iq4_nl) X(IQ4_XS, iq4_xs) X(MXFP4, mxfp4) X(NF4, nf4) X(FP4, fp4) X(LLM_INT8, llm_int8)
#define UNPACKED_TYPES(X) X(Q8_1, q8_1) X(Q8_K, q8_k) X(IQ1_S, iq1_s) X(IQ1_M, iq1_m) X(IQ2_XXS, iq2_xxs) X(IQ2_XS, iq2_xs) \
	X(IQ2_S, iq2_s) X(IQ3_XXS, iq3_xxs) X(IQ3_S, iq3_s) X(TQ1_0, tq1_0) X(TQ2_0, tq2_0) X(NVFP4, nvfp4) X(Q1_0, q1_0) X(Q2_0, q2_0)
#define RAW_TYPES(X) PACKED_TYPES(X) UNPACKED_TYPES(X)
#define FLOAT_TYPES(X) X(F32, f32) X(F16, f16) X(BF16, bf16)
#define PLAIN_TYPES(X) FLOAT_TYPES(X) X(F64, f64) X(I8, i8) X(I16, i16) X(I32, i32) X(I64, i64)

struct Planes {
	const char *p[4];
};

// chunk_at is the number of chunk col of a row of so many chunks, chunk_on that
// of chunk k of the superblock whose first one is c.
DEVICE int64_t chunk_at(int64_t row, int col, int chunks) {
	return ((row >> 4) * (chunks + 3 >> 2) + (col >> 2)) * 64 + (row & 15) * 4 + (col & 3);
}
DEVICE int64_t chunk_on(int64_t c, int k) { return c + (k & 3) + (k >> 2) * 64; }

// super_at is the number of the superblock of chunk col.
DEVICE int64_t super_at(int64_t row, int col, int chunks) { return ((row >> 4) * (chunks >> 3) + (col >> 3)) * 16 + (row & 15); }

// A Place is a chunk in planes: its number, its superblock's, and its own in that.
struct Place {
	int64_t c, s;
	int j;
};

// place_in finds chunk i of a matrix, counted along its rows of so many chunks.
DEVICE Place place_in(int64_t i, int chunks) {
	uint32_t row = (uint32_t)i / (uint32_t)chunks;
	int col = (int)((uint32_t)i - row * (uint32_t)chunks);
	return {chunk_at(row, col, chunks), super_at(row, col, chunks), col & 7};
}

// A Chunk is 32 numbers: number i is d[i/16]·(byte i%4 of q[i/4], signed) + m[i/16].
// Where a type has one scale for all, the halves are equal and the compiler
// keeps one; where it has no offset, m is a constant 0.
// Levels of two bytes are HIGH·q + low (levels.cuh).
struct Chunk {
	int q[8], low[8];
	float d[2], m[2];
};

// has_planes says whether a type (without RAW) is packed when it is placed.
DEVICE constexpr bool has_planes(int t) {
	return t == Q4_0 || t == Q4_1 || t == Q5_0 || t == Q5_1 || t == Q8_0 || t == Q2_K || t == Q3_K || t == Q4_K ||
		t == Q5_K || t == Q6_K || t == IQ4_NL || t == IQ4_XS || t == MXFP4 || t == NF4 || t == FP4 || t == LLM_INT8;
}

// has_offset says whether m counts.
DEVICE constexpr bool has_offset(int t) {
	t %= RAW;
	return t == Q4_1 || t == Q5_1 || t == Q2_K || t == Q4_K || t == Q5_K;
}

// is_plain says whether numbers stand alone.
DEVICE constexpr bool is_plain(int t) { return t == F32 || t == F16 || t == BF16 || (t >= I8 && t <= F64); }

// block_chunks is how many chunks a block of a quantised type holds. A chunk
// of q1_0 … q8_k is never cut.
DEVICE constexpr int block_chunks(int t) {
	t %= RAW;
	return t == Q4_0 || t == Q4_1 || t == Q5_0 || t == Q5_1 || t == Q8_0 || t == Q8_1 || t == IQ4_NL || t == MXFP4 ? 1
		: t == NVFP4 || t == Q2_0 || t == NF4 || t == FP4 || t == LLM_INT8 ? 2 : t == Q1_0 ? 4 : 8;
}

// block_bytes is the size of a block, or of a number of a plain type.
DEVICE constexpr int block_bytes(int t) {
	switch (t % RAW) {
	case F32: case I32: return 4;
	case F64: case I64: return 8;
	case F16: case BF16: case I16: return 2;
	case I8: return 1;
	case Q4_0: case IQ4_NL: case Q1_0: case Q2_0: return 18;
	case Q4_1: return 20;
	case Q5_0: return 22;
	case Q5_1: return 24;
	case Q8_0: return 34;
	case Q8_1: case NVFP4: case NF4: case FP4: return 36;
	case LLM_INT8: return 68;
	case Q2_K: return 84;
	case Q3_K: case IQ3_S: return 110;
	case Q4_K: return 144;
	case Q5_K: return 176;
	case Q6_K: return 210;
	case Q8_K: return 292;
	case IQ2_XXS: case TQ2_0: return 66;
	case IQ2_XS: return 74;
	case IQ2_S: return 82;
	case IQ3_XXS: return 98;
	case IQ1_S: return 50;
	case IQ1_M: return 56;
	case IQ4_XS: return 136;
	case TQ1_0: return 54;
	case MXFP4: return 17;
	}
	return 0;
}

// ---- words of four small numbers, one a byte

DEVICE uint32_t nibbles(uint32_t w) { return w & 0x0f0f0f0f; }

// spread_bits puts the bits 0 to 3 of n to the lowest bits of the four bytes.
DEVICE uint32_t spread_bits(uint32_t n) { return (n & 15) * 0x00204081 & 0x01010101; }

// spread_pairs puts the four pairs of bits of n, 8 bits, to the four bytes.
DEVICE uint32_t spread_pairs(uint32_t n) {
	n = (n | n << 12) & 0x000f000f;
	return (n | n << 6) & 0x03030303;
}

// centre subtracts from each byte, 0 ≤ byte − by + 128 < 256 and byte < 128.
DEVICE int centre(uint32_t w, uint32_t by) { return (w + (0x80 - by) * 0x01010101) ^ 0x80808080; }

// look_up16 replaces nibbles by bytes of a table: lo of the low ones, hi of the
// high ones. A selector of __byte_perm has three bits, so the fourth chooses
// afterwards.
DEVICE void look_up16(int &lo, int &hi, uint32_t w, uint32_t t0, uint32_t t1, uint32_t t2, uint32_t t3) {
	uint32_t low = w & 0x77777777, which = 0x32103210 | (w & 0x88888888) >> 1;
	uint32_t a = __byte_perm(__byte_perm(t0, t1, low), __byte_perm(t2, t3, low), which);
	uint32_t b = __byte_perm(__byte_perm(t0, t1, low >> 16), __byte_perm(t2, t3, low >> 16), which >> 16);
	lo = __byte_perm(a, b, 0x6420);
	hi = __byte_perm(a, b, 0x7531);
}

// iq4_levels: −127 −104 −83 −65 −49 −35 −22 −10 1 13 25 38 53 69 89 113.
DEVICE void iq4_levels(int &lo, int &hi, uint32_t w) { look_up16(lo, hi, w, 0xbfad9881, 0xf6eaddcf, 0x26190d01, 0x71594535); }

// e2m1_levels: 0 1 2 3 4 6 8 12 and the same with the other sign.
DEVICE void e2m1_levels(int &lo, int &hi, uint32_t w) { look_up16(lo, hi, w, 0x03020100, 0x0c080604, 0xfdfeff00, 0xf4f8fafc); }

// with_signs negates the bytes, none of them 0, whose bits 0 to 3 of s are 1.
DEVICE int with_signs(uint32_t w, uint32_t s) {
	uint32_t one = spread_bits(s);
	return (w ^ one * 0xff) + one;
}

// even_signs makes the signs of 8 numbers of the first 7: their product is +.
DEVICE uint32_t even_signs(uint32_t s) {
	s &= 127;
	return s | (__popc(s) & 1) << 7;
}

// byte_float is byte i of w, a signed one with its highest bit flipped: exact,
// and cheaper than a conversion on every card.
DEVICE float byte_float(uint32_t flipped, int i) {
	return __uint_as_float(__byte_perm(flipped, 0x4b000000, 0x7540 + i)) - 8388736.0f;
}
DEVICE uint32_t flip(int q) { return q ^ 0x80808080; }

// ---- scales

DEVICE uint32_t load1(const void *p) { return *(const uint8_t *)p; }

// half_e8m0 is 2^(e−128), half of the power of two that e stands for.
DEVICE float half_e8m0(uint32_t e) { return __uint_as_float(e < 2 ? 1u << 21 << e : (e - 1) << 23); }

// half_ue4m3 is half of the float that s stands for; 127 counts as 0.
DEVICE float half_ue4m3(uint32_t s) {
	uint32_t exp = s >> 3 & 15, frac = s & 7;
	float v = exp ? __uint_as_float((exp + 119) << 23 | frac << 20) : (float)(int)frac * (1.0f / 1024);
	return s == 127 ? 0 : v;
}

DEVICE float low_half(uint32_t w) { return h2f((uint16_t)w); }
DEVICE float high_half(uint32_t w) { return h2f((uint16_t)(w >> 16)); }

DEVICE void set_scale(Chunk &c, float d) { c.d[0] = c.d[1] = d, c.m[0] = c.m[1] = 0; }
DEVICE void set_scales(Chunk &c, float d0, float d1) { c.d[0] = d0, c.d[1] = d1, c.m[0] = c.m[1] = 0; }
DEVICE void set_affine(Chunk &c, float d, float m) { c.d[0] = c.d[1] = d, c.m[0] = c.m[1] = m; }

// scale_offset is field j of a packed head: 6 bits of scale, then 6 of offset.
DEVICE uint32_t scale_offset(uint4 head, int j) {
	int bit = 12 * j;
	uint32_t lo = bit < 32 ? head.y : bit < 64 ? head.z : head.w, hi = bit < 32 ? head.z : head.w;
	return __funnelshift_r(lo, hi, bit & 31) & 0xfff;
}

// raw_scale_offset is the same of the file's head (package tensor, scaleOffset).
DEVICE uint32_t raw_scale_offset(uint32_t s0, uint32_t s1, uint32_t s2, int j) {
	int at = j % 4 * 8;
	s0 >>= at, s1 >>= at, s2 >>= at;
	return j < 4 ? (s0 & 63) | (s1 & 63) << 6
		: (s2 & 15) | (s0 >> 2 & 0x30) | (s2 >> 4 & 15) << 6 | (s1 >> 2 & 0x30) << 6;
}

// q3_k_scales are the scales of the chunk's two groups 2j and 2j+1, 32 too
// high, as two bytes. A block at an even address has them in bytes 96 to 107:
// low bits in the nibbles of byte g mod 8, high ones in byte 8 + g mod 4.
DEVICE uint32_t q3_k_scales(const char *b, int j) {
	return (load2(b + 96 + 2 * j % 8) >> j / 4 * 4 & 0x0f0f) | (load2(b + 104 + 2 * j % 4) >> j / 2 * 2 & 0x0303) << 4;
}

// iq4_xs_scale is the scale of chunk j, 32 too high.
DEVICE int iq4_xs_scale(const char *b, int j) {
	return (int)((load1(b + 4 + j / 2) >> j % 2 * 4 & 15) | (load2(b + 2) >> 2 * j & 3) << 4);
}

// half_factor and half_offset are a chunk's as pairs of f16, such that no weight is
// beyond ±65504.
DEVICE uint32_t half_within(float v, float most) {
	v = fminf(fmaxf(v, -most), most);
	return pack_h2(v, v);
}
template <int T> DEVICE uint32_t half_factor(float d) {
	return half_within(d, has_offset(T) ? 32752.0f / 31 : 65504.0f / (T == Q4_0 || T == Q3_K || T == MXFP4 ? 12 : T == Q5_0 ? 16 : T == Q6_K ? 32 : T == NF4 || T == FP4 || T == LLM_INT8 ? 1 : 128));
}
DEVICE uint32_t half_offset(float m) { return half_within(m, 32752.0f); }

DEVICE void set_super(Chunk &c, uint32_t dm, uint32_t field) {
	set_affine(c, low_half(dm) * (float)(int)(field & 63), -(high_half(dm) * (float)(int)(field >> 6)));
}

// ---- unaligned words

// load_words loads n words from p, which is a multiple of A. Where that is no
// word, the words around are loaded and shifted: none lies wholly outside the
// n that are asked for.
template <int n, int A> DEVICE void load_words(uint32_t *w, const char *p) {
	if constexpr (A % 16 == 0 && n % 4 == 0) {
#pragma unroll
		for (int i = 0; i < n; i += 4) {
			uint4 v = load16(p + 4 * i);
			w[i] = v.x, w[i + 1] = v.y, w[i + 2] = v.z, w[i + 3] = v.w;
		}
	} else if constexpr (A % 8 == 0 && n % 2 == 0) {
#pragma unroll
		for (int i = 0; i < n; i += 2) {
			uint2 v = load8(p + 4 * i);
			w[i] = v.x, w[i + 1] = v.y;
		}
	} else if constexpr (A % 4 == 0) {
#pragma unroll
		for (int i = 0; i < n; i++) w[i] = load4(p + 4 * i);
	} else {
		int by = (int)((uint64_t)p & 3);
		const char *at = p - by;
		uint32_t lo = load4(at);
#pragma unroll
		for (int i = 0; i < n; i++) {
			uint32_t hi = load4(i < n - 1 || by ? at + 4 * i + 4 : at + 4 * i);
			w[i] = __funnelshift_r(lo, hi, 8 * by);
			lo = hi;
		}
	}
}

template <int A> DEVICE uint32_t load_word(const char *p) {
	uint32_t w;
	load_words<1, A>(&w, p);
	return w;
}

#include "levels.cuh"

// ---- raw blocks

// raw_integers are the integers of chunk j of a block as the file has them,
// from 0 up except in q8_*. A is the alignment of the block.
template <int T, int A> DEVICE void raw_integers(uint32_t q[8], const char *b, int j) {
	if constexpr (T == Q4_0 || T == IQ4_NL || T == Q4_1 || T == Q5_0 || T == Q5_1 || T == MXFP4 || T == IQ4_XS) {
		constexpr int at = T == Q4_1 ? 4 : T == Q5_0 ? 6 : T == Q5_1 || T == IQ4_XS ? 8 : T == MXFP4 ? 1 : 2;
		uint32_t w[4];
		load_words<4, (A | at) & -(A | at)>(w, T == IQ4_XS ? b + at + 16 * j : b + at);
#pragma unroll
		for (int i = 0; i < 4; i++) q[i] = nibbles(w[i]), q[4 + i] = nibbles(w[i] >> 4);
		if constexpr (T == Q5_0 || T == Q5_1) {
			uint32_t h = load_word<T == Q5_0 ? (A | 2) & -(A | 2) : (A | 4) & -(A | 4)>(b + at - 4);
#pragma unroll
			for (int i = 0; i < 8; i++) q[i] |= spread_bits(h >> 4 * i) << 4;
		}
	} else if constexpr (T == Q8_0) {
		load_words<8, (A | 2) & -(A | 2)>(q, b + 2);
	} else if constexpr (T == Q8_1 || T == Q8_K || T == LLM_INT8) {
		load_words<8, (A | 4) & -(A | 4)>(q, b + 4 + 32 * j);
	} else if constexpr (of_levels(T)) {
		raw_levels<A>(q, b, j);
	} else if constexpr (T == Q2_K || T == TQ2_0) {
		constexpr int at = T == Q2_K ? 16 : 0;
		load_words<8, A>(q, b + at + j / 4 * 32);
#pragma unroll
		for (int i = 0; i < 8; i++) q[i] = q[i] >> j % 4 * 2 & 0x03030303;
	} else if constexpr (T == Q3_K) {
		uint32_t h[8];
		load_words<8, A>(q, b + 32 + j / 4 * 32);
		load_words<8, A>(h, b);
#pragma unroll
		for (int i = 0; i < 8; i++) q[i] = (q[i] >> j % 4 * 2 & 0x03030303) | (h[i] >> j & 0x01010101) << 2;
	} else if constexpr (T == Q4_K || T == Q5_K) {
		load_words<8, A>(q, b + (T == Q4_K ? 16 : 48) + j / 2 * 32);
#pragma unroll
		for (int i = 0; i < 8; i++) q[i] = nibbles(q[i] >> j % 2 * 4);
		if constexpr (T == Q5_K) {
			uint32_t h[8];
			load_words<8, A>(h, b + 16);
#pragma unroll
			for (int i = 0; i < 8; i++) q[i] |= (h[i] >> j & 0x01010101) << 4;
		}
	} else if constexpr (T == Q6_K) {
		uint32_t h[8];
		load_words<8, A>(q, b + j / 4 * 64 + j % 2 * 32);
		load_words<8, A>(h, b + 128 + j / 4 * 32);
#pragma unroll
		for (int i = 0; i < 8; i++) q[i] = nibbles(q[i] >> j % 4 / 2 * 4) | (h[i] >> j % 4 * 2 & 0x03030303) << 4;
	} else if constexpr (T == TQ1_0) {
		// Digit k of a byte is the upper byte of 3·(byte·3ᵏ mod 256), here for
		// two bytes at a time.
		uint32_t c = load_word<A>(b + 48);
		load_words<4, A>(q, b + (j < 5 ? 0 : 32));
		load_words<4, A>(q + 4, b + (j < 5 ? 16 : 32));
		uint32_t power = j == 0 ? 1 : j == 1 ? 3 : j == 2 ? 9 : j == 3 ? 27 : j == 4 ? 81 : j == 5 ? 1 : j == 6 ? 9 : 81;
#pragma unroll
		for (int i = 0; i < 8; i++) {
			if (i == 4 && j >= 5) power *= 3;
			uint32_t w = q[i], by = power;
			if (i >= 4 && j == 7) w = c, by = i == 4 ? 1 : i == 5 ? 3 : i == 6 ? 9 : 27;
			uint32_t even = (w & 0x00ff00ff) * by & 0x00ff00ff, odd = (w >> 8 & 0x00ff00ff) * by & 0x00ff00ff;
			q[i] = (even * 3 >> 8 & 0x00030003) | (odd * 3 & 0x03000300);
		}
	} else if constexpr (T == Q1_0) {
		uint32_t h = load_word<A>(b + 2 + 4 * j);
#pragma unroll
		for (int i = 0; i < 8; i++) q[i] = spread_bits(h >> 4 * i);
	} else if constexpr (T == Q2_0) {
		uint32_t w[2];
		load_words<2, A>(w, b + 2 + 8 * j);
#pragma unroll
		for (int i = 0; i < 8; i++) q[i] = spread_pairs(w[i / 4] >> i % 4 * 8 & 0xff);
	}
}

// load_raw is chunk j of a block, of alignment A. book is 0, or the type's
// code book in shared memory (grids.cuh).
template <int T, int A> DEVICE void load_raw(Chunk &c, const char *b, int j, const uint32_t *book = 0) {
	const uint32_t iq2 = 0x002b1908; // levels 8, 25, 43
	if constexpr (T == IQ2_XXS || T == IQ3_XXS) {
		uint32_t sign = load_word<A>(T == IQ2_XXS ? b + 6 + 8 * j : b + 66 + 4 * j);
		set_scale(c, h2f(load2(b)) * (0.5f + (float)(int)(sign >> 28)) * (T == IQ2_XXS ? 0.25f : 0.5f));
		uint32_t e[2];
		load_words<T == IQ2_XXS ? 1 : 2, A>(e, b + 2 + 8 * j);
#pragma unroll
		for (int i = 0; i < 4; i++) {
			uint32_t s = even_signs(sign >> 7 * i), lo, hi;
			if constexpr (T == IQ2_XXS) {
				uint32_t entry = selectors<T>(book, e[0] >> 8 * i & 255);
				lo = __byte_perm(iq2, 0, entry), hi = __byte_perm(iq2, 0, entry >> 16);
			} else { // levels 4, 12, 20, 28, 36, 44, 52, 62
				lo = __byte_perm(0x1c140c04, 0x3e342c24, selectors<T>(book, e[i / 2] >> i % 2 * 16 & 255));
				hi = __byte_perm(0x1c140c04, 0x3e342c24, selectors<T>(book, e[i / 2] >> (i % 2 * 16 + 8) & 255));
			}
			c.q[2 * i] = with_signs(lo, s), c.q[2 * i + 1] = with_signs(hi, s >> 4);
		}
	} else if constexpr (T == IQ2_XS || T == IQ2_S) {
		uint32_t s = load1(b + (T == IQ2_XS ? 66 : 74) + j), e[2], sign = 0, high = 0;
		float d = h2f(load2(b));
		set_scales(c, d * (0.5f + (float)(int)(s & 15)) * 0.25f, d * (0.5f + (float)(int)(s >> 4)) * 0.25f);
		if constexpr (T == IQ2_XS) load_words<2, A>(e, b + 2 + 8 * j);
		else e[0] = load_word<A>(b + 2 + 4 * j), sign = load_word<A>(b + 34 + 4 * j), high = load1(b + 66 + j);
#pragma unroll
		for (int i = 0; i < 4; i++) {
			uint32_t entry, signs;
			if constexpr (T == IQ2_XS) {
				uint32_t at = e[i / 2] >> i % 2 * 16 & 0xffff;
				signs = even_signs(at >> 9);
				entry = selectors<T>(book, at & 511);
			} else {
				signs = sign >> 8 * i;
				entry = selectors<T>(book, (e[0] >> 8 * i & 255) | (high >> 2 * i & 3) << 8);
			}
			c.q[2 * i] = with_signs(__byte_perm(iq2, 0, entry), signs);
			c.q[2 * i + 1] = with_signs(__byte_perm(iq2, 0, entry >> 16), signs >> 4);
		}
	} else if constexpr (T == IQ3_S) {
		uint32_t e[2], sign = load_word<A>(b + 74 + 4 * j), high = load1(b + 66 + j), s = load1(b + 106 + j / 2) >> j % 2 * 4 & 15;
		load_words<2, A>(e, b + 2 + 8 * j);
		set_scale(c, h2f(load2(b)) * (float)(int)(1 + 2 * s));
#pragma unroll
		for (int i = 0; i < 8; i++) { // levels 1, 3 … 15
			uint32_t entry = selectors<T>(book, (e[i / 4] >> i % 4 * 8 & 255) | (high >> i & 1) << 8);
			c.q[i] = with_signs(__byte_perm(0x07050301, 0x0f0d0b09, entry), sign >> 4 * i);
		}
	} else if constexpr (T == IQ1_S || T == IQ1_M) {
		// entry ± ⅛ in eighths are integers.
		uint32_t e, h;
		if constexpr (T == IQ1_S) {
			e = load_word<A>(b + 2 + 4 * j), h = load2(b + 34 + 2 * j);
			set_scale(c, h2f(load2(b)) * (float)(int)((h >> 12 & 7) * 2 + 1) * 0.125f);
		} else {
			e = load_word<A>(b + 4 * j), h = load2(b + 32 + 2 * j);
			uint32_t s01 = load_word<A>(b + 48), s23 = load_word<A>(b + 52);
			float d = h2f((uint16_t)((s01 >> 12 & 0xf) | (s01 >> 24 & 0xf0) | (s23 >> 4 & 0xf00) | (s23 >> 16 & 0xf000)));
			uint32_t s = (j < 4 ? s01 : s23) >> (j / 2 % 2 * 16 + j % 2 * 6);
			set_scales(c, d * (float)(int)((s & 7) * 2 + 1) * 0.125f, d * (float)(int)((s >> 3 & 7) * 2 + 1) * 0.125f);
		}
#pragma unroll
		for (int i = 0; i < 4; i++) {
			uint32_t high = T == IQ1_S ? h >> 3 * i & 7 : h >> 4 * i & 7;
			uint32_t minus = T == IQ1_S ? h >> 15 : h >> (4 * i + 3) & 1;
			uint32_t levels = minus ? 0x0007fff7 : 0x000901f9, entry = selectors<T>(book, (e >> 8 * i & 255) | high << 8);
			c.q[2 * i] = __byte_perm(levels, 0, entry), c.q[2 * i + 1] = __byte_perm(levels, 0, entry >> 16);
		}
	} else if constexpr (T == NVFP4) {
		uint32_t w[4];
		load_words<4, A>(w, b + 4 + 16 * j);
		e2m1_levels(c.q[0], c.q[2], w[0]);
		e2m1_levels(c.q[1], c.q[3], w[1]);
		e2m1_levels(c.q[4], c.q[6], w[2]);
		e2m1_levels(c.q[5], c.q[7], w[3]);
		set_scales(c, half_ue4m3(load1(b + 2 * j)), half_ue4m3(load1(b + 2 * j + 1)));
	} else if constexpr (T == IQ4_NL || T == IQ4_XS || T == MXFP4) {
		constexpr int at = T == IQ4_NL ? 2 : T == IQ4_XS ? 8 : 1;
		uint32_t w[4];
		load_words<4, (A | at) & -(A | at)>(w, T == IQ4_XS ? b + at + 16 * j : b + at);
#pragma unroll
		for (int i = 0; i < 4; i++) {
			if constexpr (T == MXFP4) e2m1_levels(c.q[i], c.q[4 + i], w[i]);
			else iq4_levels(c.q[i], c.q[4 + i], w[i]);
		}
		if constexpr (T == MXFP4) set_scale(c, half_e8m0(load1(b)));
		if constexpr (T == IQ4_NL) set_scale(c, h2f(load2(b)));
		if constexpr (T == IQ4_XS) set_scale(c, h2f(load2(b)) * (float)(iq4_xs_scale(b, j) - 32));
	} else if constexpr (of_levels(T)) {
		uint32_t q[8];
		raw_levels<A>(q, b, j);
#pragma unroll
		for (int i = 0; i < 8; i++) file_levels<T>(c.q[i], c.low[i], q[i]);
		set_scale(c, __uint_as_float(load_word<A>(b)) * (1 / raw_level_unit<T>()));
	} else {
		uint32_t q[8];
		raw_integers<T, A>(q, b, j);
		constexpr int by = T == Q4_0 ? 8 : T == Q5_0 ? 16 : T == Q3_K ? 4 : T == Q6_K ? 32 : T == TQ1_0 || T == TQ2_0 || T == Q2_0 ? 1 : 0;
#pragma unroll
		for (int i = 0; i < 8; i++) c.q[i] = by ? centre(q[i], by) : T == Q1_0 ? centre(2 * q[i], 1) : q[i];
		if constexpr (T == Q4_0 || T == Q5_0 || T == Q8_0 || T == Q8_1 || T == Q1_0 || T == Q2_0) set_scale(c, h2f(load2(b)));
		if constexpr (T == Q4_1 || T == Q5_1) set_affine(c, h2f(load2(b)), h2f(load2(b + 2)));
		if constexpr (T == Q8_K) set_scale(c, __uint_as_float(load_word<A>(b)));
		if constexpr (T == LLM_INT8) set_scale(c, __uint_as_float(load_word<A>(b)) * (1.0f / 127));
		if constexpr (T == TQ1_0) set_scale(c, h2f(load2(b + 52)));
		if constexpr (T == TQ2_0) set_scale(c, h2f(load2(b + 64)));
		if constexpr (T == Q2_K) {
			float d = h2f(load2(b + 80)), m = h2f(load2(b + 82));
			uint32_t s = load2(b + 2 * j);
			set_scales(c, d * (float)(int)(s & 15), d * (float)(int)(s >> 8 & 15));
			c.m[0] = -(m * (float)(int)(s >> 4 & 15)), c.m[1] = -(m * (float)(int)(s >> 12));
		}
		if constexpr (T == Q3_K) {
			uint32_t s = q3_k_scales(b, j);
			float d = h2f(load2(b + 108));
			set_scales(c, d * (float)((int)(s & 63) - 32), d * (float)((int)(s >> 8) - 32));
		}
		if constexpr (T == Q4_K || T == Q5_K) {
			uint32_t head[4];
			load_words<4, A>(head, b);
			set_super(c, head[0], raw_scale_offset(head[1], head[2], head[3], j));
		}
		if constexpr (T == Q6_K) {
			uint32_t s = load2(b + 192 + 2 * j);
			float d = h2f(load2(b + 208));
			set_scales(c, d * (float)(int8_t)s, d * (float)(int8_t)(s >> 8));
		}
	}
}

// ---- planes

// plane_absmax is the absmax of a chunk of nf4, fp4 and llm_int8.
DEVICE float plane_absmax(const Planes &p, int64_t chunk) { return __uint_as_float(load4(p.p[1] + (chunk >> 1) * 4)); }

// plane_integers are the integers of a chunk, from 0 up except in q8_0 and llm_int8.
template <int T> DEVICE void plane_integers(uint32_t q[8], const Planes &p, int64_t chunk) {
	if constexpr (of_levels(T)) {
		uint32_t w[4];
		load_words<4, 16>(w, p.p[0] + 16 * chunk);
#pragma unroll
		for (int i = 0; i < 4; i++) q[i] = part(w[i]), q[4 + i] = part(w[i] >> 16);
	} else if constexpr (T == Q8_0 || T == LLM_INT8) {
		const char *at = p.p[0] + chunk / 8 * 256 + chunk % 8 * 16;
		load_words<4, 16>(q, at);
		load_words<4, 16>(q + 4, at + 128);
	} else if constexpr (T == Q2_K || T == Q3_K) {
		uint2 h = load8(p.p[0] + 8 * chunk);
#pragma unroll
		for (int i = 0; i < 4; i++) q[i] = h.x >> 2 * i & 0x03030303, q[4 + i] = h.y >> 2 * i & 0x03030303;
		if constexpr (T == Q3_K) {
			uint32_t h1 = load4(p.p[1] + 4 * chunk);
#pragma unroll
			for (int i = 0; i < 8; i++) q[i] |= (h1 >> i & 0x01010101) << 2;
		}
	} else {
		uint32_t w[4];
		load_words<4, 16>(w, p.p[0] + 16 * chunk);
#pragma unroll
		for (int i = 0; i < 4; i++) q[i] = nibbles(w[i]), q[4 + i] = nibbles(w[i] >> 4);
		if constexpr (T == Q5_0 || T == Q5_1 || T == Q5_K) {
			uint32_t h1 = load4(p.p[1] + 4 * chunk);
#pragma unroll
			for (int i = 0; i < 8; i++) q[i] |= (h1 >> i & 0x01010101) << 4;
		}
		if constexpr (T == Q6_K) {
			uint2 h = load8(p.p[1] + 8 * chunk);
#pragma unroll
			for (int i = 0; i < 4; i++) q[i] |= (h.x >> 2 * i & 0x03030303) << 4, q[4 + i] |= (h.y >> 2 * i & 0x03030303) << 4;
		}
	}
}

template <int T> DEVICE void load_planes(Chunk &c, const Planes &p, const Place &at) {
	int64_t chunk = at.c;
	if constexpr (T == IQ4_NL || T == IQ4_XS || T == MXFP4) {
		uint32_t w[4];
		load_words<4, 16>(w, p.p[0] + 16 * chunk);
#pragma unroll
		for (int i = 0; i < 4; i++) {
			if constexpr (T == MXFP4) e2m1_levels(c.q[i], c.q[4 + i], w[i]);
			else iq4_levels(c.q[i], c.q[4 + i], w[i]);
		}
		if constexpr (T == IQ4_NL) set_scale(c, h2f(load2(p.p[1] + 2 * chunk)));
		if constexpr (T == IQ4_XS) set_scale(c, h2f(load2(p.p[2] + at.s * 2)) * (float)(int8_t)load1(p.p[1] + chunk));
		if constexpr (T == MXFP4) set_scale(c, half_e8m0(load1(p.p[1] + chunk)));
		return;
	}
	uint32_t q[8];
	plane_integers<T>(q, p, chunk);
	constexpr int by = T == Q4_0 ? 8 : T == Q5_0 ? 16 : T == Q3_K ? 4 : T == Q6_K ? 32 : 0;
#pragma unroll
	for (int i = 0; i < 8; i++) c.q[i] = by ? centre(q[i], by) : q[i];
	if constexpr (T == Q4_0 || T == Q8_0) set_scale(c, h2f(load2(p.p[1] + 2 * chunk)));
	if constexpr (T == LLM_INT8) set_scale(c, plane_absmax(p, chunk) * (1.0f / 127));
	if constexpr (T == Q5_0) set_scale(c, h2f(load2(p.p[2] + 2 * chunk)));
	if constexpr (T == Q4_1 || T == Q5_1) {
		uint32_t dm = load4(p.p[T == Q4_1 ? 1 : 2] + 4 * chunk);
		set_affine(c, low_half(dm), high_half(dm));
	}
	if constexpr (T == Q2_K) {
		uint32_t dm = load4(p.p[2] + at.s * 4), s = load2(p.p[1] + 2 * chunk);
		float d = low_half(dm), m = high_half(dm);
		set_scales(c, d * (float)(int)(s & 15), d * (float)(int)(s >> 8 & 15));
		c.m[0] = -(m * (float)(int)(s >> 4 & 15)), c.m[1] = -(m * (float)(int)(s >> 12));
	}
	if constexpr (T == Q3_K || T == Q6_K) {
		uint32_t s = load2(p.p[2] + 2 * chunk);
		float d = h2f(load2(p.p[3] + at.s * 2));
		set_scales(c, d * (float)(int8_t)s, d * (float)(int8_t)(s >> 8));
	}
	if constexpr (T == Q4_K || T == Q5_K) {
		uint4 head = load16(p.p[T == Q4_K ? 1 : 2] + at.s * 16);
		set_super(c, head.x, scale_offset(head, at.j));
	}
}

// ---- both forms

// block_align is the alignment of a block in a tensor that begins at a multiple
// of 16 bytes.
DEVICE constexpr int block_align(int t) {
	int b = block_bytes(t) | 16;
	return b & -b;
}

// load_chunk loads chunk i of a matrix, along its rows of so many chunks. T is a
// type's number: the planes of a type that has them, the blocks of another;
// T + RAW are the blocks always. book is 0, or the type's code book.
template <int T> DEVICE void load_chunk(Chunk &c, const Planes &p, int64_t i, int chunks, const uint32_t *book = 0) {
	if constexpr (has_planes(T)) {
		load_planes<T>(c, p, place_in(i, chunks));
	} else {
		constexpr int n = block_chunks(T);
		load_raw<T % RAW, block_align(T)>(c, p.p[0] + i / n * block_bytes(T), (int)(i % n), book);
	}
}

// plain_number is number i of a plain type, as float32.
template <int T> DEVICE float plain_number(const char *p, int64_t i) {
	if constexpr (T == F32) return ((const float *)p)[i];
	if constexpr (T == F64) return (float)((const double *)p)[i];
	if constexpr (T == F16) return h2f(((const uint16_t *)p)[i]);
	if constexpr (T == BF16) return bf2f(((const uint16_t *)p)[i]);
	if constexpr (T == I8) return (float)((const int8_t *)p)[i];
	if constexpr (T == I16) return (float)((const int16_t *)p)[i];
	if constexpr (T == I32) return (float)((const int32_t *)p)[i];
	if constexpr (T == I64) return (float)((const int64_t *)p)[i];
	return 0;
}

// decode_absmax makes the numbers of a chunk of nf4, fp4 and llm_int8.
template <int T> DEVICE void decode_absmax(float w[32], const Planes &p, int64_t chunk, int chunks) {
	uint32_t q[8];
	float absmax;
	if constexpr (T < RAW) {
		int64_t at = place_in(chunk, chunks).c;
		plane_integers<T>(q, p, at);
		absmax = plane_absmax(p, at);
	} else {
		const char *b = p.p[0] + chunk / 2 * block_bytes(T);
		raw_integers<T % RAW, 4>(q, b, (int)(chunk & 1));
		absmax = __uint_as_float(load4(b));
	}
	if constexpr (of_levels(T)) {
		const float *levels = T % RAW == NF4 ? nf4_levels : fp4_levels;
#pragma unroll
		for (int i = 0; i < 8; i++) {
			if constexpr (T > RAW) q[i] = to_plane<T>(q[i]);
#pragma unroll
			for (int k = 0; k < 4; k++) w[4 * i + k] = __fmul_rn(absmax, levels[q[i] >> 8 * k & 15]);
		}
	} else {
#pragma unroll
		for (int i = 0; i < 32; i++) w[i] = __fmul_rn(__fmul_rn(byte_float(flip(q[i / 4]), i % 4), absmax), 1.0f / 127);
	}
}

// decode_chunk makes the numbers of a chunk, rounded as package tensor rounds
// them. Chunks of plain types are 32 numbers, too; those of f32, f16 and bf16
// have to begin at a multiple of 16 bytes.
template <int T> DEVICE void decode_chunk(float w[32], const Planes &p, int64_t chunk, int chunks) {
	if constexpr (T == F32) {
#pragma unroll
		for (int i = 0; i < 32; i += 4) {
			uint4 v = load16(p.p[0] + 128 * chunk + 4 * i);
			w[i] = __uint_as_float(v.x), w[i + 1] = __uint_as_float(v.y), w[i + 2] = __uint_as_float(v.z), w[i + 3] = __uint_as_float(v.w);
		}
	} else if constexpr (T == F16 || T == BF16) {
		uint32_t v[16];
		load_words<16, 16>(v, p.p[0] + 64 * chunk);
#pragma unroll
		for (int i = 0; i < 16; i++) {
			w[2 * i] = T == F16 ? low_half(v[i]) : __uint_as_float(v[i] << 16);
			w[2 * i + 1] = T == F16 ? high_half(v[i]) : __uint_as_float(v[i] & 0xffff0000);
		}
	} else if constexpr (is_plain(T)) {
#pragma unroll
		for (int i = 0; i < 32; i++) w[i] = plain_number<T>(p.p[0], 32 * chunk + i);
	} else if constexpr (of_levels(T) || T % RAW == LLM_INT8) {
		decode_absmax<T>(w, p, chunk, chunks);
	} else {
		Chunk c;
		load_chunk<T>(c, p, chunk, chunks);
#pragma unroll
		for (int i = 0; i < 32; i++) {
			w[i] = __fmul_rn(c.d[i / 16], byte_float(flip(c.q[i / 4]), i % 4));
			if constexpr (has_offset(T)) w[i] = __fadd_rn(w[i], c.m[i / 16]);
		}
	}
}
