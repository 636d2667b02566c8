// random: n numbers f32 of the normal distribution: Philox4x32-10 (Salmon et
// al. 2011) of the seed as the key and i/4 as the counter, two by two through
// Box and Muller's transform. The numbers do not depend on the launch.
// Launch: a grid that walks over the numbers. Bound: some 60 operations each.
// measured: not yet
#include "plain.cuh"
#include "rope.cuh"

struct Random {
	uint64_t dst, seed;
	int64_t n;
	int32_t wide; // dst can be written 16 bytes at a time
	int32_t pad;
};

DEVICE uint4 philox(uint4 c, uint2 key) {
	for (int round = 0; round < 10; round++) {
		uint64_t p = (uint64_t)0xd2511f53 * c.x, q = (uint64_t)0xcd9e8d57 * c.z;
		c = make_uint4((uint32_t)(q >> 32) ^ c.y ^ key.x, (uint32_t)q, (uint32_t)(p >> 32) ^ c.w ^ key.y, (uint32_t)p);
		key.x += 0x9e3779b9;
		key.y += 0xbb67ae85;
	}
	return c;
}

// normal makes two normal numbers of two uniform ones.
DEVICE float2 normal(uint32_t a, uint32_t b) {
	float r = sqrtf(-2 * logf(((float)a + 1) * 2.3283064365386963e-10f));
	float2 angle = cos_sin((float)(int32_t)b * 2.3283064365386963e-10f);
	return make_float2(r * angle.x, r * angle.y);
}

KERNEL(random_normal, Random, 256, 4) {
	float *dst = (float *)a.dst;
	for (int64_t i = grid_start(); i < (a.n + 3) / 4; i += grid_step()) {
		uint4 u = philox(make_uint4((uint32_t)i, (uint32_t)(i >> 32), 0, 0), make_uint2((uint32_t)a.seed, (uint32_t)(a.seed >> 32)));
		float2 p = normal(u.x, u.y), q = normal(u.z, u.w);
		float4 v = make_float4(p.x, p.y, q.x, q.y);
		int64_t left = a.n - 4 * i;
		if (a.wide && left >= 4) {
			((float4 *)dst)[i] = v;
			continue;
		}
		dst[4 * i] = v.x;
		if (left > 1) dst[4 * i + 1] = v.y;
		if (left > 2) dst[4 * i + 2] = v.z;
		if (left > 3) dst[4 * i + 3] = v.w;
	}
}
