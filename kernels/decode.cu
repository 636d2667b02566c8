// decode: attention of few queries over a cache of f16 or q8_0 (decode.cuh).
//
// Launch: a block a unit, decode_shared bytes. Bound by reading keys and values
// once; a short context by the chain of loads, products and sums of one unit.
//
// cold: decode_many_f16_112 some 100 bytes of few queries with heads that few models have
// cold: decode_crowd_f16_112 20 bytes, likewise
// cold: decode_crowd_q8_0_96 32 bytes that are stored before and read after the loop over keys
#include "decode.cuh"

// idle says whether a unit of a crowd has no keys: most have none while texts
// are short, and leave before they look at the others.
DEVICE bool idle(const Crowd &c, int block) {
	int query = block / c.units, split = (block - query * c.units) / c.one.sets;
	return split > 0 && (int64_t)split << c.one.split_shift >= min(max(c.one.pos[query], 0) + 1, c.one.window);
}

#define DECODE(dim, name, type) \
	KERNEL(decode_##name##_##dim, Decode, DECODE_THREADS, 1) { decode_attention<dim, type>(a, blockIdx.x, dynamic_shared()); } \
	KERNEL(decode_many_##name##_##dim, Decode, DECODE_THREADS, 1) { decode_attention<dim, type, true>(a, blockIdx.x, dynamic_shared()); } \
	KERNEL(decode_crowd_##name##_##dim, Crowd, DECODE_THREADS, 1) { if (!idle(a, blockIdx.x)) decode_crowd<dim, type>(a, blockIdx.x, dynamic_shared()); }
DECODE(64, f16, CACHE_F16)
DECODE(80, f16, CACHE_F16)
DECODE(96, f16, CACHE_F16)
DECODE(112, f16, CACHE_F16)
DECODE(128, f16, CACHE_F16)
DECODE(256, f16, CACHE_F16)
DECODE(64, q8_0, CACHE_Q8_0)
DECODE(96, q8_0, CACHE_Q8_0)
DECODE(128, q8_0, CACHE_Q8_0)
DECODE(256, q8_0, CACHE_Q8_0)
