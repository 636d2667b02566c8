// fill: dst = one value n times, of 1, 2, 4 or 8 bytes.
// Launch: a grid that walks over the numbers. Bound: bytes of dst.
// measured: not yet
#include "plain.cuh"

struct Fill {
	uint64_t dst;
	uint64_t value; // as often as it goes into 8 bytes
	int64_t n;      // numbers
	int32_t bytes;  // of one
	int32_t wide;   // dst can be written 16 bytes at a time
};

template <class S> DEVICE void fill_from(const Fill &a, int64_t done) {
	for (int64_t i = done + grid_start(); i < a.n; i += grid_step()) ((S *)a.dst)[i] = (S)a.value;
}

KERNEL(fill, Fill, 256, 4) {
	int64_t done = 0;
	if (a.wide) {
		int64_t vectors = a.n * a.bytes / 16;
		ulonglong2 v = make_ulonglong2(a.value, a.value);
		for (int64_t i = grid_start(); i < vectors; i += grid_step()) ((ulonglong2 *)a.dst)[i] = v;
		done = vectors * (16 / a.bytes);
	}
	switch (a.bytes) {
	case 1: return fill_from<uint8_t>(a, done);
	case 2: return fill_from<uint16_t>(a, done);
	case 4: return fill_from<uint32_t>(a, done);
	case 8: return fill_from<uint64_t>(a, done);
	}
}
