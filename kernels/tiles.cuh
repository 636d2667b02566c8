// A warp's way through the tiles of a matrix: units of 16 rows, and of each the
// tiles that are this warp's. The next ones are on their way while one is used: on
// sm_80 and newer in a ring in shared memory, of 3, 4 or 8 slots, else one in
// registers.
#pragma once
#include "dot.cuh"

const int MATVEC_THREADS = 512;
const int MATVEC_WARPS = MATVEC_THREADS / 32;

template <int type, bool RING> struct Tiles {
	Planes w;
	int unit, units, by;      // the unit that is fetched, of so many, and to the next one
	int base, stride;         // the warp's first tile of unit u is base + stride·u
	int items, left, tile, step;
	char *ring;
	int slots, free, filled;  // where the next tile goes to, and is taken from
	Loaded pending[2];
};

template <int type, bool RING> DEVICE int following(const Tiles<type, RING> &t, int slot) {
	slot += tile_bytes<type>();
	return slot == t.slots * tile_bytes<type>() ? 0 : slot;
}

// fetch starts to bring the next tile, if there is one.
template <int type, bool RING> DEVICE void fetch(Tiles<type, RING> &t) {
	if (t.left == 0 && (t.unit += t.by) < t.units) t.left = t.items, t.tile = t.base + t.stride * t.unit;
	if (t.left == 0) {
		if (RING) cp_async_commit(); // so that as many are on their way as ever
		return;
	}
	if (RING) fetch_async<type>(t.ring + t.free, t.w, t.tile), t.free = following(t, t.free);
	else fetch_direct<type>(t.pending, t.w, t.tile);
	t.tile += t.step, t.left--;
}

// begin brings the first tiles. The warps' rings follow each other from `rings` on.
template <int type, bool RING> DEVICE void begin(Tiles<type, RING> &t, char *rings) {
	t.ring = rings + (threadIdx.x >> 5) * t.slots * tile_bytes<type>();
	t.unit -= t.by, t.left = t.free = t.filled = 0;
#pragma unroll 1
	for (int i = 0; i < (RING ? t.slots - 1 : 1); i++) fetch(t);
}

// next takes the tile that was fetched first, and fetches another.
template <int type, bool RING> DEVICE void next(Tiles<type, RING> &t, Loaded v[2]) {
	if (RING) {
		if (t.slots == 3) cp_async_wait<1>();
		else if (t.slots == 4) cp_async_wait<2>();
		else cp_async_wait<6>();
		__syncwarp(); // the copies of other lanes, too; and all have read the slot before
		take<type>(v, t.ring + t.filled);
		t.filled = following(t, t.filled);
	} else {
		v[0] = t.pending[0], v[1] = t.pending[1];
	}
	fetch(t);
}

// Two blocks an SM where there is a ring: one begins while the one before ends.
#if __CUDA_ARCH__ >= 800
const int MATVEC_RESIDENT = 2;
#else
const int MATVEC_RESIDENT = 1;
#endif
