// scale: dst = x·factor, n numbers f32; dst may be x.
// Launch: a grid that walks over the numbers. Bound: 8 bytes a number.
// measured: not yet
#include "plain.cuh"

struct Scale {
	uint64_t dst, x;
	int64_t n;
	int32_t wide; // both can be read 16 bytes at a time
	float factor;
};

KERNEL(scale, Scale, 256, 4) {
	float factor = a.factor;
	map<F32>(a.dst, a.x, a.n, a.wide, [=](float x) { return x * factor; });
}
