// The levels of nf4 and fp4, bitsandbytes' 4-bit types. No byte holds one of them
// well enough: 8 bits make a product's NMSE 2e-5. In products they are integers of
// two bytes,
//
//	level·unit ≈ 32·high + low
//
// with an NMSE of 2.2e-7 and 5.7e-8 (bitsandbytes' own products have 1.5e-7 in
// f16 and 8e-6 in bf16), in tiles f16, in raw blocks 32·high + low exactly
// rounded. Decoded they are the floats that they are.
//
// Planes keep a nibble as another one, so that looking up is cheap: low depends
// on three bits of it, and high[n] and high[n^8] have the same sign. Then two
// prmt look up four high bytes, and not three: bit 3 of a selector copies the
// byte's sign, so that a nibble below 8 turns a byte into another one, and one
// above into its complement. Of a word of a plane the low
// four nibbles are numbers 4w … 4w+3 of the chunk, the others 16+4w ….
// (Part of format.cuh. The tables are make_levels.py's.)
#pragma once

DEVICE constexpr bool of_levels(int t) { return t % RAW == NF4 || t % RAW == FP4; }

const int HIGH = 32; // what a high byte counts

template <int T> DEVICE constexpr float level_unit() { return T % RAW == NF4 ? 3657.5f : 3266.375f; }

#ifdef EMULATE
#define LEVELS static const float
#else
#define LEVELS static __device__ const float
#endif

// Levels in the order of the planes' nibbles.
LEVELS nf4_levels[16] = {-0.696192801f, -0.0910500363f, -0.394917488f, -0.525073051f, 0.0795802996f, 1.0f, 0.440709829f, 0.337915242f,
	-0.284441382f, -1.0f, -0.18477343f, 0.0f, 0.246112302f, 0.562617004f, 0.160930201f, 0.722956836f};
LEVELS fp4_levels[16] = {-0.00520833349f, -1.0f, -0.5f, -0.166666672f, 0.0f, 0.333333343f, 0.666666687f, 0.25f,
	-0.25f, -0.666666687f, -0.333333343f, -0.0f, 0.166666672f, 0.5f, 1.0f, 0.00520833349f};

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
	return T % RAW == NF4 ? replace(q, 0x02030009, 0x0b010a08, 0x070c0e04, 0x050f0d06) : replace(q, 0x0e060f04, 0x070c0d05, 0x0109000b, 0x0803020a);
}
template <int T> DEVICE uint32_t to_file(uint32_t q) {
	return T % RAW == NF4 ? replace(q, 0x02030601, 0x0b0c0f08, 0x07050004, 0x0e090d0a) : replace(q, 0x0e0d0b09, 0x07020400, 0x080c0a0f, 0x01030506);
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
		high = (int)replace(q, 0x66440100, 0x1a113322, 0x9abcff00, 0xe6efcdde);
		low = (int)replace(q, 0x0202f100, 0xf1000101, 0xfefe0f00, 0x0f00ffff);
	}
}

// Tables are the first halves of those of a type; the others are constants. In a
// loop zero is a 0 that the compiler does not know: it would bring constants to
// registers again for every look-up.
struct Tables {
	uint32_t upper, turn, low;
};
template <int T> DEVICE Tables tables(uint32_t zero) {
	if constexpr (T == NF4) return {0x00147120 ^ zero, 0xc3c78790 ^ zero, 0x20fcf40f ^ zero};
	return {0x00214319 ^ zero, 0xeeecd9e6 ^ zero, 0x20fffe0f ^ zero};
}

// high_levels and low_levels are those of a plane's word.
template <int T> DEVICE void high_levels(uint32_t &first, uint32_t &second, uint32_t w, const Tables &t) {
	constexpr uint32_t upper = T == NF4 ? 0xacedbfe3 : 0xfe99ccee, turn = T == NF4 ? 0x8bdfcdea : 0xe4ddeeee;
	uint32_t three = w & 0x77777777;
	first = prmt(t.upper, upper, three) ^ prmt(t.turn, turn, w);
	second = prmt(t.upper, upper, three >> 16) ^ prmt(t.turn, turn, w >> 16);
}
template <int T> DEVICE void low_levels(uint32_t &first, uint32_t &second, uint32_t w, const Tables &t) {
	constexpr uint32_t low = T == NF4 ? 0xf40c0a04 : 0xf1020100;
	uint32_t three = w & 0x77777777;
	first = prmt(t.low, low, three), second = prmt(t.low, low, three >> 16);
}

// half_levels are the levels of 16 bits of a plane's word as two pairs of f16.
template <int T> DEVICE void half_levels(uint32_t &pair0, uint32_t &pair1, uint32_t w) {
	uint32_t three = w & 0x7777, pick = 0x3210 | (w & 0x8888) >> 1, high, low; // of the lower 16 bits
	if constexpr (T == NF4) {
		high = prmt(prmt(0xb8b6adb9, 0x35373c2d, three), prmt(0x80b1bcb4, 0x39313833, three), pick);
		low = prmt(prmt(0x3352d492, 0x680d0018, three), prmt(0x00ea008d, 0xc92680e0, three), pick);
	} else {
		high = prmt(prmt(0xb1b8bc9d, 0x34393500, three), prmt(0x80b5b9b4, 0x1d3c3831, three), pick);
		low = prmt(prmt(0x55000055, 0x00555500, three), prmt(0x00555500, 0x55000055, three), pick);
	}
	pair0 = prmt(low, high, 0x5140), pair1 = prmt(low, high, 0x7362);
}
