// Numbers that the blocks of a launch hand each other without a barrier.
//
// The last bit of a f32 is its tag: who reads a number looks at it until it has
// the tag that is expected. So a number is its own signal, in one way through L2
// where a barrier takes four, and nobody waits for more than it needs. (NCCL's LL
// protocol has a flag beside each word; here 23 bits of 24 stay.) What is read has
// 0 there, whatever the tag was. An infinity with the tag 1 is no number.
//
// tags.go says which tag a number has, and that nobody writes what others may
// still read.
#pragma once
#include "cuda.cuh"

// Only modules that define TAGGED wait for tags.
#ifdef TAGGED
const bool tagging = true;
#else
const bool tagging = false;
#endif

struct Tag {
	uint32_t bit, mask; // mask 0: a number without a tag, from before the launch or for after it
};

// tag_of is the tag that a code stands for: 0, none; else TAG_SET, with
// TAG_ONE for a 1 in launches of even numbers, with TAG_FLIPS if it is the other
// one in odd ones.
const int TAG_ONE = 1, TAG_SET = 2, TAG_FLIPS = 4;
DEVICE Tag tag_of(int code, uint32_t launch) {
	if (!(code & TAG_SET)) return {0, 0};
	return {(uint32_t)(code ^ (code >> 2 & launch)) & 1, 1};
}

DEVICE bool has(uint32_t word, Tag t) { return ((word ^ t.bit) & t.mask) == 0; }
DEVICE bool has(uint4 v, Tag t) { return (((v.x ^ t.bit) | (v.y ^ t.bit) | (v.z ^ t.bit) | (v.w ^ t.bit)) & t.mask) == 0; }
DEVICE float number_of(uint32_t word, Tag t) { return __uint_as_float(word & ~t.mask); }
DEVICE float4 numbers_of(uint4 v, Tag t) { return make_float4(number_of(v.x, t), number_of(v.y, t), number_of(v.z, t), number_of(v.w, t)); }

// receive waits for a number.
DEVICE float receive(const float *p, Tag t) {
	uint32_t word;
	while (!has(word = look(p), t)) spin();
	return number_of(word, t);
}

// settled is receive for a number that was looked at before, perhaps too early.
DEVICE float settled(float seen, const float *p, Tag t) { return has(__float_as_uint(seen), t) ? number_of(__float_as_uint(seen), t) : receive(p, t); }

// receive4 waits for n times four numbers: two times four are 16 from each other,
// and then it goes on `apart` from the first; those from `left` on are zeros.
template <int n> DEVICE void receive4(float4 (&v)[n], const float *p, int apart, int left, Tag t) {
	bool all;
	uint4 words[n];
	do { // without a pause: the way through L2 is one (Llama 3.2 1B: 1,742 to 1,800 tok/s)
		all = true;
#pragma unroll
		for (int k = 0; k < n; k++) {
			int at = k / 2 * apart + k % 2 * 16;
			words[k] = at < left ? look4(p + at) : make_uint4(t.bit, t.bit, t.bit, t.bit);
		}
#pragma unroll
		for (int k = 0; k < n; k++) all = all && has(words[k], t);
		if (!all) spin();
	} while (!all);
#pragma unroll
	for (int k = 0; k < n; k++) v[k] = numbers_of(words[k], t);
}

// hand leaves a number for others.
DEVICE void hand(float *p, float y, Tag t) { put_word(p, (__float_as_uint(y) & ~t.mask) | t.bit); }
DEVICE void hand4(float *p, float4 y, Tag t) { hand(p, y.x, t), hand(p + 1, y.y, t), hand(p + 2, y.z, t), hand(p + 3, y.w, t); }
