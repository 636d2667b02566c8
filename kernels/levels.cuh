// The levels of nf4 and fp4, bitsandbytes' 4-bit types. No byte holds one of nf4
// well enough: 8 bits make a product's NMSE 2e-5. In products they are integers of
// two bytes,
//
//	nf4  level·3403.75 ≈ 20·wide + 9·narrow
//	fp4  level·192     = 16·wide + narrow
//
// with an NMSE of 2.1e-7 for nf4 (bitsandbytes' own products have 1.5e-7 in f16 and
// 8e-6 in bf16). In tiles they are f16, in raw blocks 32·high + low. Decoded they
// are the floats that they are.
//
// Planes keep a nibble as another one, so that one prmt looks up four of either
// byte. wide depends on three bits of the nibble. narrow is what prmt makes of all
// four: a byte of the table where bit 3 is clear, and else the sign of that byte
// eight times over, 0 or -1. So eight of the levels have little more than a byte;
// which ones, and the two units, are such that they are close to one (make_levels.py).
// Seven instructions for eight numbers; all levels of two bytes, by one prmt more
// and an xor, took eleven and had 2.2e-7 (8B, one H200: 390 tok/s). A table of its
// own for each half of the levels was tried: 5.5e-7, or 3.4e-7 with a constant.
//
// Of a word of a plane the low four nibbles are numbers 4w … 4w+3 of the chunk, the
// others 16+4w ….
// (Part of format.cuh. The tables are make_levels.py's.)
#pragma once

DEVICE constexpr bool of_levels(int t) { return t % RAW == NF4 || t % RAW == FP4; }

template <int T> DEVICE constexpr float level_unit() { return T == NF4 ? 3403.75f : 192; }

const int HIGH = 32; // what a high byte of raw blocks counts
template <int T> DEVICE constexpr float raw_level_unit() { return T == NF4 ? 3657.5f : 3072; }

#ifdef EMULATE
#define LEVELS static const float
#else
#define LEVELS static __device__ const float
#endif

// Levels in the order of the planes' nibbles.
LEVELS nf4_levels[16] = {-1.0f, -0.525073051f, -0.394917488f, -0.18477343f, 0.246112302f, 0.160930201f, 0.562617004f, 1.0f,
	-0.696192801f, -0.284441382f, -0.0910500363f, 0.0795802996f, 0.0f, 0.337915242f, 0.440709829f, 0.722956836f};
LEVELS fp4_levels[16] = {0.00520833349f, 1.0f, 0.5f, 0.25f, -0.0f, -0.666666687f, -0.5f, -0.166666672f,
	0.0f, 0.666666687f, 0.333333343f, 0.166666672f, -0.333333343f, -0.00520833349f, -1.0f, -0.25f};

// prmt is __byte_perm with all of a selector, which the emulator's has anyway:
// where its bit 3 is set, the byte is eight times the sign of the one selected.
DEVICE uint32_t prmt(uint32_t lo, uint32_t hi, uint32_t selector) {
#ifdef EMULATE
	return __byte_perm(lo, hi, selector);
#else
	uint32_t r;
	asm("prmt.b32 %0, %1, %2, %3;" : "=r"(r) : "r"(lo), "r"(hi), "r"(selector));
	return r;
#endif
}

// replace makes other bytes of bytes below 16.
DEVICE uint32_t replace(uint32_t bytes, uint32_t t0, uint32_t t1, uint32_t t2, uint32_t t3) {
	int lo, hi;
	look_up16(lo, hi, bytes, t0, t1, t2, t3);
	return (uint32_t)lo;
}

// to_plane makes the planes' nibbles of the file's, four of them a word;
// to_file the other way round.
template <int T> DEVICE uint32_t to_plane(uint32_t q) {
	return T % RAW == NF4 ? replace(q, 0x02010800, 0x0c0a0309, 0x0d04050b, 0x070f060e) : replace(q, 0x01090008, 0x030b020a, 0x0e050d04, 0x0f07060c);
}
template <int T> DEVICE uint32_t to_file(uint32_t q) {
	return T % RAW == NF4 ? replace(q, 0x05030200, 0x0f0d090a, 0x08060401, 0x0e0c0b07) : replace(q, 0x07050301, 0x0e0d0a08, 0x06040200, 0x0f0b090c);
}

// join puts four nibbles, a byte each, to 16 bits; part is the inverse.
DEVICE uint32_t join(uint32_t q) {
	q = (q | q >> 4) & 0x00ff00ff;
	return (q | q >> 8) & 0xffff;
}
DEVICE uint32_t part(uint32_t q) {
	q &= 0xffff;
	q = (q | q << 8) & 0x00ff00ff;
	return (q | q << 4) & 0x0f0f0f0f;
}

// raw_levels are the nibbles of chunk j of a block, a byte each: of a byte of
// the file the high nibble is first.
template <int A> DEVICE void raw_levels(uint32_t q[8], const char *b, int j) {
	uint32_t w[4];
	load_words<4, (A | 4) & -(A | 4)>(w, b + 4 + 16 * j);
#pragma unroll
	for (int i = 0; i < 4; i++) {
		uint32_t high = nibbles(w[i] >> 4), low = nibbles(w[i]);
		q[2 * i] = __byte_perm(high, low, 0x5140), q[2 * i + 1] = __byte_perm(high, low, 0x7362);
	}
}

// file_levels are the levels of nibbles of the file as high and low bytes.
template <int T> DEVICE void file_levels(int &high, int &low, uint32_t q) {
	if constexpr (T % RAW == NF4) {
		high = (int)replace(q, 0xd3c4b08e, 0x00f6ebe0, 0x271c1209, 0x72534032);
		low = (int)replace(q, 0xfc000ef6, 0x00f3fcf0, 0xf4040d03, 0x0af40a0c);
	} else {
		high = (int)replace(q, 0x60400100, 0x18103020, 0xa0c00000, 0xe8f0d0e0);
		low = (int)replace(q, 0x0000f000, 0x00000000, 0x0000f000, 0x00000000);
	}
}

// Tables are the first halves of those of a type; the others are constants. In a
// loop zero is a 0 that the compiler does not know: it would bring constants to
// registers again for every look-up.
struct Tables {
	uint32_t wide, narrow;
};
template <int T> DEVICE Tables tables(uint32_t zero) {
	if constexpr (T == NF4) return {0x0ef1d08a ^ zero, 0x9b8ca48c ^ zero};
	return {0x02040800 ^ zero, 0x10204001 ^ zero};
}

// wide_levels and narrow_levels are those of a plane's word; whole_level is the
// integer that sums of them make.
template <int T> DEVICE void wide_levels(uint32_t &first, uint32_t &second, uint32_t w, const Tables &t) {
	constexpr uint32_t upper = T == NF4 ? 0x7b4b3a00 : 0xfdf400fc;
	uint32_t three = w & 0x77777777;
	first = prmt(t.wide, upper, three), second = prmt(t.wide, upper, three >> 16);
}
template <int T> DEVICE void narrow_levels(uint32_t &first, uint32_t &second, uint32_t w, const Tables &t) {
	constexpr uint32_t upper = T == NF4 ? 0x692ebc5d : 0x10608040;
	first = prmt(t.narrow, upper, w), second = prmt(t.narrow, upper, w >> 16);
}
template <int T> DEVICE int whole_level(int wide, int narrow) { return T == NF4 ? narrow * 9 + wide * 20 : narrow + wide * 16; }

// half_levels are the levels of 16 bits of a plane's word as two pairs of f16.
template <int T> DEVICE void half_levels(uint32_t &pair0, uint32_t &pair1, uint32_t w) {
	uint32_t three = w & 0x7777, pick = 0x3210 | (w & 0x8888) >> 1, high, low; // of the lower 16 bits
	if constexpr (T == NF4) {
		high = prmt(prmt(0xb1b6b8bc, 0x3c383133, three), prmt(0x2dadb4b9, 0x39373500, three), pick);
		low = prmt(prmt(0xea523300, 0x008026e0, three), prmt(0x18d48d92, 0xc90d6800, three), pick);
	} else {
		high = prmt(prmt(0x34383c1d, 0xb1b8b980, three), prmt(0x31353900, 0xb4bc9db5, three), pick);
		low = prmt(prmt(0x00000055, 0x55005500, three), prmt(0x55555500, 0x00005555, three), pick);
	}
	pair0 = prmt(low, high, 0x5140), pair1 = prmt(low, high, 0x7362);
}
