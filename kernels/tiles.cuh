// A warp's way through the tiles of a matrix: units of 16 rows, and of each the
// tiles that are this warp's. The next ones are on their way while one is used: on
// sm_80 and newer in a ring of slots in shared memory, else one in registers
// (SLOTS is 0).
#pragma once
#include "dot.cuh"

const int MATVEC_THREADS = 512;
const int MATVEC_WARPS = MATVEC_THREADS / 32;

template <int type, int SLOTS> struct Tiles {
	const char *q, *h, *rest; // 16 bytes of the lane in tile 0: of plane 0, of q6_k's plane 1, of those after
	int plane, rest_at;       // of rest, and where in the plane
	int rest_by;              // bytes to the next tile's
	int tile, step;           // fetched next; to the one behind it in a unit
	int unit, number;         // where that is: matvec.cu's
	int items, left, all;     // of a unit; those of this unit, and of all, that are still to be fetched
	int slot, before;         // the one to take from, and that before it: bytes behind dynamic_shared
	int ring;                 // where the warp's slots begin
	Loaded pending[2];
};

// rest_of is the first plane of those that share a turn of copies.
DEVICE constexpr int rest_of(int type) { return type == Q6_K ? 2 : 1; }

// in_twos says whether two tiles share a superblock: no warp has a unit to itself.
DEVICE constexpr bool in_twos(int type) { return of_superblocks(type, 1) || of_superblocks(type, 2) || of_superblocks(type, 3); }

// aim points t at a matrix.
template <int type, int SLOTS> DEVICE void aim(Tiles<type, SLOTS> &t, const Planes &w) {
	const int lane = threadIdx.x & 31;
	if (SLOTS > 0) t.q = w.p[0] + lane * 16, t.h = w.p[1] + lane * 16, t.rest = w.p[t.plane] + t.rest_at;
}

// fetch starts to bring the next tile, if there is one. (All addresses come
// before the copies: what is between two of them costs the compiler's guards.)
// Plane 0 is asked for in whole 256 bytes: 2 to 10 % faster than without (q8_0
// most), but for q6_k (2 % slower), and where a warp has a unit to itself (8 % for
// q8_0 262144 × 1152): one H200, 2026-11-28.
template <int type, int SLOTS, class Args> DEVICE void fetch(Tiles<type, SLOTS> &t, const Args &a) {
	if (t.all > 0) {
		if constexpr (SLOTS == 0) {
			fetch_direct<type>(t.pending, matrix_of(a, t.number).w, t.tile);
		} else {
			const int lane = threadIdx.x & 31;
			const char *q = t.q + (int64_t)t.tile * piece(type, 0), *rest = t.rest + (int64_t)t.tile * t.rest_by, *h = q;
			if (type == Q6_K) h = t.h + (int64_t)t.tile * piece(type, 1);
			char *to = dynamic_shared() + t.before + lane * 16;
			if (type != Q6_K && (in_twos(type) || t.step > 1)) {
#pragma unroll
				for (int k = 0; k < piece(type, 0); k += 512) cp_async16_wide(to + k, q + k);
			} else {
#pragma unroll
				for (int k = 0; k < piece(type, 0); k += 512) cp_async16(to + k, q + k);
			}
			if (type == Q6_K) cp_async16(to + piece_at(type, 1), h);
			if (lane < (tile_bytes<type>() - piece_at(type, rest_of(type))) / 16) cp_async16(to + piece_at(type, rest_of(type)), rest);
		}
		t.tile += t.step, t.all--;
		if (--t.left == 0) t.left = t.items, turn(t, a);
	}
	if (SLOTS > 0) cp_async_commit(); // even if nothing is asked for: as many are on their way as ever
}

// onward goes to the next slot.
template <int type, int SLOTS> DEVICE void onward(Tiles<type, SLOTS> &t) {
	t.before = t.slot;
	t.slot = t.slot == t.ring + (SLOTS - 1) * tile_bytes<type>() ? t.ring : t.slot + tile_bytes<type>();
}

// begin brings the first tiles: of `units` units with `items` tiles each, of which
// one is `step` behind the one before. t.tile is the first of all; turn (of the
// kernel) goes from a unit to the next. All tiles are even where two share a
// superblock, or all are odd. The warps' rings follow each other, `rings` bytes
// behind dynamic_shared.
template <int type, int SLOTS, class Args> DEVICE void begin(Tiles<type, SLOTS> &t, const Args &a, int step, int items, int units, int rings) {
	t.step = step, t.items = t.left = items, t.all = items * units;
	if constexpr (SLOTS > 0) {
		int lane = threadIdx.x & 31, plane = rest_of(type), i = lane, in_two = 0;
#pragma unroll
		for (int k = rest_of(type); k < 3; k++) // the planes take what lanes they need, one after the other
			if (plane == k && piece(type, k + 1) > 0 && i >= piece(type, k) / 16) i -= piece(type, k) / 16, plane = k + 1;
		t.rest_by = 0;
#pragma unroll
		for (int k = rest_of(type); k < 4; k++) {
			if (plane != k) continue;
			t.rest_by = piece(type, k);
			if (of_superblocks(type, k)) in_two = t.tile & 1, t.rest_by /= 2;
		}
		t.plane = plane, t.rest_at = i * 16 - in_two * t.rest_by;
		t.ring = rings + (threadIdx.x >> 5) * (SLOTS * tile_bytes<type>());
		t.before = t.ring, t.slot = t.ring + tile_bytes<type>();
		aim(t, matrix_of(a, t.number).w);
#pragma unroll 1
		for (int i = 1; i < SLOTS; i++) fetch(t, a), onward(t);
		t.slot = t.ring; // and `before` is the last
	} else {
		fetch(t, a);
	}
}

// await waits for the tile that was fetched first.
template <int type, int SLOTS> DEVICE void await(Tiles<type, SLOTS> &t, Loaded v[2]) {
	if constexpr (SLOTS > 0) {
		cp_async_wait<SLOTS - 2>();
		__syncwarp(); // the copies of other lanes, too; and all have read the slot before
		take<type>(v, dynamic_shared() + t.slot);
	} else {
		v[0] = t.pending[0], v[1] = t.pending[1];
	}
}

// Two blocks an SM where there is a ring: one begins while the one before ends.
#if __CUDA_ARCH__ >= 800
const int MATVEC_RESIDENT = 2;
#else
const int MATVEC_RESIDENT = 1;
#endif
