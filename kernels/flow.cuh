// The flow of weights: what a warp of a product fetches before it needs it, also
// of the next product while the blocks wait for each other.
#pragma once
#include "tiles.cuh"

// How the results of a product leave it.
const int PRODUCT_STORE = 0;    // dst[row] = y
const int PRODUCT_ADD = 1;      // dst[row] = residual[row] + y
const int PRODUCT_GLU = 2;      // dst[row] = fn(y of part 0)·(y of part 1)

// Functions of GLU, tensor.Fn's numbers.
const int FN_SIGMOID = 9, FN_RELU = 10, FN_SILU = 11, FN_GELU = 12, FN_GELU_ERF = 13;

// A Part is one matrix of a product. Its units, 16 rows each, go round the
// blocks from block `skew` on: `whole` rounds, and `rest` blocks more.
struct Part {
	Planes w;       // rows × cols
	uint64_t dst;   // f32 (rows)
	uint64_t bias;  // f32 (rows), or 0
	int32_t type;   // GGUF type number
	int32_t rows;
	int32_t first;  // first row: they may be some of a larger matrix, from a tile on
	int32_t skew, whole, rest;
};

// A Product is up to three matrices on one input, with what comes before and
// after. With post the input is first x + rms_norm(post)·post_norm, and block
// 0 writes that to sum. With norm the input is rms_norm(x)·norm_weight.
struct Product {
	Part part[3];
	uint64_t x;           // f32 (cols)
	uint64_t norm_weight; // f32 (cols), or 0 for ones
	uint64_t post;        // f32 (cols), or 0
	uint64_t post_weight; // f32 (cols), or 0 for ones
	uint64_t sum;         // f32 (cols); not x
	uint64_t residual;    // f32 (rows of part 0)
	uint64_t best;        // {f32 value, i32 row} a block: the largest result of part 0, or 0
	int32_t cols;         // a multiple of 32
	int32_t parts;
	int32_t mode;
	int32_t fn;           // of GLU
	int32_t norm;         // 1: rms_norm x
	float eps;
	float cap;            // results become cap·tanh(y/cap); 0 is off
	int32_t groups;       // of 128 columns
	int32_t share;        // 1<<share warps share a unit, at most as many as groups; 1 or more where super-blocks are
	int32_t zero;         // see Tables (levels.cuh)
};

// The units of a block are numbered through all parts; those of the two parts
// of a GLU take turns. 1<<share warps share a unit, each a group of columns in
// turn; so many units are at work at once.
DEVICE int sharing(const Product &p) { return 1 << p.share; }
DEVICE int at_once(const Product &p) { return MATVEC_WARPS >> p.share; }
DEVICE int first_of(const Product &p) { return threadIdx.x >> 5 + p.share; } // unit of this warp
DEVICE int rank_of(const Product &p) { return threadIdx.x >> 5 & sharing(p) - 1; }

DEVICE int first_unit(const Part &part) {
	int unit = blockIdx.x - part.skew;
	return unit < 0 ? unit + gridDim.x : unit;
}
DEVICE int units_of(const Part &part) { return part.whole + (first_unit(part) < part.rest); }

// units_of is how many units are this block's.
DEVICE int units_of(const Product &p) {
	int n = units_of(p.part[0]);
	if (p.parts > 1) n += units_of(p.part[1]);
	if (p.parts > 2) n += units_of(p.part[2]);
	return n;
}

// A Unit says which rows of which part the unit of a block is.
struct Unit {
	int part, row;
};
DEVICE Unit unit_at(const Product &p, int unit) {
	int part = 0, n;
	if (p.mode == PRODUCT_GLU) part = unit & 1, unit >>= 1;
	else if (p.parts > 1 && unit >= (n = units_of(p.part[0]))) {
		part = 1, unit -= n;
		if (p.parts > 2 && unit >= (n = units_of(p.part[1]))) part = 2, unit -= n;
	}
	return {part, (first_unit(p.part[part]) + unit * (int)gridDim.x) * 16};
}

DEVICE int items(const Product &p) { return p.groups - rank_of(p) + sharing(p) - 1 >> p.share; } // of a unit

// A Flow brings a warp's weights, item after item: `depth` items are on their
// way while one is in use.
//
// Three slots: what the ring leaves of an SM's memory is L1 cache, which the code's
// registers need. Llama 3.1 8B, one H200: 431 tok/s with 4 slots, 442 with 3; and
// with 6, and no cache left, 408.
const int RING_SLOTS = 3;
template <bool RING> constexpr int depth = RING ? RING_SLOTS - 1 : 1;

struct Flow {
	int p;              // product that is fetched, of all
	int unit, units;    // of the block; units -1: not known yet
	int left;           // items of the unit
	int fetched, taken; // items; those between are on their way

	int ring;           // where this warp's slots begin in dynamic_shared
	int type;           // of the unit
	int tile, by;       // the next, and what is added to it
	int part;           // of the unit
};

// aim points a flow at the unit that it has come to.
DEVICE void aim(Flow &f, const Product &p) {
	Unit u = unit_at(p, f.unit);
	const Part &part = p.part[u.part];
	f.left = items(p), f.by = sharing(p), f.type = part.type, f.part = u.part;
	f.tile = (part.first + u.row >> 4) * p.groups + rank_of(p);
}

// next_unit finds what is fetched next of the product.
DEVICE void next_unit(Flow &f, const Product *all) {
	const Product &p = all[f.p];
	if (f.units < 0) f.units = units_of(p), f.unit = first_of(p) - at_once(p);
	if (f.unit < f.units && (f.unit += at_once(p)) < f.units) aim(f, p);
}

// go_on makes the flow that of product p, when all of the one before is fetched.
DEVICE void go_on(Flow &f, int p) { f.p = p, f.units = -1; }

// slot_of is the slot of an item.
DEVICE char *slot_of(const Flow &f, int item) { return dynamic_shared() + f.ring + item % RING_SLOTS * SLOT_BYTES; }

// fetch starts the copies of an item.
template <int type, bool RING> DEVICE void fetch(Flow &f, Loaded *pending, const Product *all) {
	const Planes w = all[f.p].part[f.part].w;
	if (RING) fetch_async<type>(slot_of(f, f.fetched), w, f.tile);
	else fetch_direct<type>(pending, w, f.tile);
	f.tile += f.by, f.left--, f.fetched++;
}
template <int type> DEVICE void fetch_ring(Flow &f, const Product *all) { fetch<type, true>(f, 0, all); }
template <int type> DEVICE void fetch_loaded(Flow &f, Loaded *pending, const Product *all) { fetch<type, false>(f, pending, all); }

// advance fetches what could be on its way and is not, as long as it is of this
// type.
template <int type, bool RING> DEVICE void advance(Flow &f, Loaded *pending, const Product *all) {
	if (f.left == 0) next_unit(f, all);
#pragma unroll 1
	while (f.left > 0 && f.type == type && f.fetched - f.taken < depth<RING>) fetch<type, RING>(f, pending, all);
}

// A Filled is what fill_up returns.
struct Filled {
	Flow f;
	Loaded v[2];
};

// fill fetches what could be on its way and is not. It is no part of the loops.
template <bool RING> DEVICE_CALL Filled fill_up(Flow f, const Product *all) {
	Filled r;
#pragma unroll 1
	while (f.fetched - f.taken < depth<RING>) {
		if (f.left == 0) next_unit(f, all);
		if (f.left == 0) break;
		if constexpr (RING) FOR_TYPE(f.type, fetch_ring, f, all)
		else FOR_TYPE(f.type, fetch_loaded, f, r.v, all)
	}
	r.f = f;
	return r;
}
template <bool RING> DEVICE void fill(Flow &f, Loaded *pending, const Product *all) {
	if (f.fetched - f.taken == depth<RING>) return;
	Filled r = fill_up<RING>(f, all);
	if (!RING && r.f.fetched > f.fetched) pending[0] = r.v[0], pending[1] = r.v[1];
	f = r.f;
}

// await waits for the item that was fetched first, and returns its slot.
template <bool RING> DEVICE const char *await(Flow &f) {
	int item = f.taken++, more = f.fetched - f.taken;
	if (RING) {
		if (more >= 1) cp_async_wait<1>();
		else cp_async_wait<0>();
		__syncwarp(); // the copies of other lanes, too; and all have read the slot before
	}
	return slot_of(f, item);
}

// start_flow begins before product p. The ring begins `ring` bytes behind
// dynamic_shared.
const int RING_BYTES = MATVEC_WARPS * RING_SLOTS * SLOT_BYTES;
DEVICE Flow start_flow(int ring, int p) {
	Flow f = {};
	f.ring = ring + (threadIdx.x >> 5) * (RING_BYTES / MATVEC_WARPS);
	f.p = p, f.units = -1;
	return f;
}

// A flow is parked in shared memory, so that what runs meanwhile has the
// registers. What was in registers is fetched again: the first item of its
// product.
DEVICE void park(const Flow &f, Flow *memory) {
	__syncwarp();
	if ((threadIdx.x & 31) == 0) *memory = f;
	__syncwarp();
}

template <bool RING> DEVICE Flow resume(const Flow *memory) {
	Flow f = *memory;
	if (!RING && f.fetched > f.taken) f.fetched--, f.left = 0, f.units = -1;
	return f;
}
