// The flow of weights: what a warp of a product fetches before it needs it, also
// of the next product while the blocks wait for each other.
#pragma once
#include "tagged.cuh"
#include "tiles.cuh"

// How the results of a product leave it.
const int PRODUCT_STORE = 0;    // dst[row] = y
const int PRODUCT_ADD = 1;      // dst[row] = residual[row] + y
const int PRODUCT_GLU = 2;      // dst[row] = fn(y of part 0)·(y of part 1)

// Functions of GLU, tensor.Fn's numbers.
const int FN_SIGMOID = 9, FN_RELU = 10, FN_SILU = 11, FN_GELU = 12, FN_GELU_ERF = 13;

// A Part is one matrix of a product.
//
// A tile's piece of its first plane is 512, 1024 or 2048 bytes. A lane copies
// 16 of those of the others, which `lanes` says: plane << 6 | number of the 16
// bytes, or 0. (Plane 1 of q6_k is not among them.)
struct Part {
	Planes w;           // rows × cols
	uint64_t dst;       // f32 (rows)
	uint64_t bias;      // f32 (rows), or 0
	int32_t type;       // GGUF type number
	int32_t rows;
	int32_t tag;        // of dst; tagged.cuh's code
	int32_t _;
	uint32_t pieces[4]; // of each plane: bytes << 1, or of two tiles that share a piece, bytes << 1 | 1
	uint8_t lanes[32];
};

// A Product is up to three matrices on one input, with what comes before and
// after. With post the input is first x + rms_norm(post)·post_norm, and block
// 0 writes that to sum. With norm the input is rms_norm(x)·norm_weight.
struct alignas(16) Product {
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
	uint8_t x_tag, post_tag, sum_tag, residual_tag; // codes
	int32_t attend;       // number of the attention that follows, or -1
	int32_t _[2];
};

// A Lot is what one block has of a product: units of 16 rows, which go round the
// blocks. They are numbered through all parts; those of the two parts of a GLU
// take turns.
struct alignas(16) Lot {
	int32_t units;
	int32_t before[3]; // units of the parts before, more than there are where there is no part
	int32_t tile[3];   // of the block's first unit of a part
	int32_t row[3];
	int32_t apart;     // units from one of the block's to the next
	int32_t _;
};

// So many warps share a unit, each a group of columns in turn; so many units are
// at work at once.
DEVICE int sharing(const Product &p) { return 1 << p.share; }
DEVICE int at_once(const Product &p) { return MATVEC_WARPS >> p.share; }
DEVICE int first_of(const Product &p) { return threadIdx.x >> 5 + p.share; } // unit of this warp
DEVICE int rank_of(const Product &p) { return threadIdx.x >> 5 & sharing(p) - 1; }
DEVICE int items(const Product &p) { return p.groups - rank_of(p) + sharing(p) - 1 >> p.share; } // tiles of a unit that are this warp's

// A Unit says where the unit of a block is.
struct Unit {
	int part, round; // the block's number `round` of its part
};
DEVICE Unit unit_at(const Product &p, const Lot &lot, int unit) {
	if (p.mode == PRODUCT_GLU) return {unit & 1, unit >> 1};
	int part = (unit >= lot.before[1]) + (unit >= lot.before[2]);
	return {part, unit - lot.before[part]};
}
DEVICE int row_of(const Lot &lot, Unit u) { return lot.row[u.part] + u.round * lot.apart * 16; }
DEVICE int tile_of(const Product &p, const Lot &lot, Unit u) { return lot.tile[u.part] + u.round * lot.apart * p.groups; }

// A Flow brings a warp's weights, tile after tile, two ahead of the one in use.
// It goes round a ring of three slots in shared memory, or where there is none one
// ahead into registers.
//
// Three slots, of which one is filled before the product's input is there (fill):
// what more is on its way then stands in the way of the input. Llama 3.2 1B and 3.1
// 8B, one H200, 2026-11-28, tok/s:
//   three slots, one tile before the input      2,019  570
//   three slots, two tiles or none              1,975  558; 1,884  544
//   four or five slots, one tile                2,007  570; 1,975  565
//   four, six or eight slots, all but one full  1,936  550; 1,875  545; 1,808  456
const int RING_SLOTS = 3;
const int SLOT_BYTES = TYPES == 2 ? 1792 : 2176; // q6_k's tile is the larger of two; q8_0's of all

struct Flow {
	int unit, left;             // that is fetched, of the block, and tiles of it to come
	int ring, to, from;         // where the warp's slots begin in dynamic_shared; the next to be filled, to be used
	const char *q, *rest, *more; // the lane's bytes of the next tile: of the first plane, of the others, of plane 1 of q6_k
	int q_by, rest_by, more_by; // from tile to tile; more_by 0: there is none
	int size, lanes;            // bytes of the first plane's piece; 0: the lane has none of others

	int type, part, tile; // without a ring
	bool ready;           // a tile is in registers
};

DEVICE int following(const Flow &f, int slot) {
	slot += SLOT_BYTES;
	return slot == f.ring + RING_SLOTS * SLOT_BYTES ? f.ring : slot;
}

// piece_in is where a tile's piece of a plane begins, by from there to that of
// the tile 1<<share behind it.
DEVICE const char *piece_in(const Part &part, int plane, uint32_t tile, int share, int &by) {
	uint32_t piece = part.pieces[plane], shared = piece & 1, bytes = piece >> 1;
	by = bytes << share >> shared;
	return part.w.p[plane] + (uint64_t)(tile >> shared) * bytes;
}

// aim points a flow at its unit.
template <bool RING> DEVICE void aim(Flow &f, const Product &p, const Lot &lot) {
	Unit u = unit_at(p, lot, f.unit);
	const Part &part = p.part[u.part];
	int tile = tile_of(p, lot, u) + rank_of(p), lane = threadIdx.x & 31;
	f.left = items(p);
	if (!RING) {
		f.type = part.type, f.part = u.part, f.tile = tile;
		return;
	}
	const int code = part.lanes[lane], plane = code >> 6;
	f.q = piece_in(part, 0, tile, p.share, f.q_by) + lane * 16;
	f.rest = piece_in(part, plane, tile, p.share, f.rest_by) + (code & 63) * 16;
	f.more_by = 0;
	if (part.type == Q6_K) f.more = piece_in(part, 1, tile, p.share, f.more_by) + lane * 16;
	f.size = part.pieces[0] >> 1, f.lanes = plane;
}

// fetch starts to bring the next tile, if there is one; there is a group of
// copies for it in any case, so that as many are on their way as ever.
DEVICE void fetch(Flow &f, const Product &p, const Lot &lot) {
	if (f.left == 0 && (f.unit += at_once(p)) < lot.units) aim<true>(f, p, lot);
	if (f.left > 0) {
		char *to = dynamic_shared() + f.to + (threadIdx.x & 31) * 16;
		cp_async16(to, f.q);
		if (TYPES == 2 || f.size > 512) cp_async16(to + 512, f.q + 512);
		if (TYPES > 2 && f.size > 1024) cp_async16(to + 1024, f.q + 1024), cp_async16(to + 1536, f.q + 1536);
		to += f.size;
		if (f.more_by) cp_async16(to, f.more), to += 512, f.more += f.more_by;
		if (f.lanes) cp_async16(to, f.rest);
		f.q += f.q_by, f.rest += f.rest_by, f.left--;
		f.to = following(f, f.to);
	}
	cp_async_commit();
}

// fetch_loaded is fetch into registers.
template <int type> DEVICE void fetch_loaded(Flow &f, Loaded *v, const Product &p) {
	fetch_direct<type>(v, p.part[f.part].w, f.tile);
	f.tile += sharing(p), f.left--, f.ready = true;
}

// fill begins with a product: its first tile is on its way. The ring begins `rings`
// bytes behind dynamic_shared.
template <bool RING> DEVICE void fill(Flow &f, Loaded *pending, const Product &p, const Lot &lot, int rings) {
	f = {};
	f.ring = f.to = f.from = rings + (threadIdx.x >> 5) * RING_SLOTS * SLOT_BYTES;
	f.unit = first_of(p) - at_once(p);
	if (RING) {
		fetch(f, p, lot);
	} else {
		pending[0] = pending[1] = {};
		if ((f.unit += at_once(p)) < lot.units) aim<false>(f, p, lot);
		if (f.left > 0) FOR_TYPE(f.type, fetch_loaded, f, pending, p)
	}
}

// fill_up fills the ring but for a slot.
template <bool RING> DEVICE void fill_up(Flow &f, const Product &p, const Lot &lot) {
#pragma unroll 1
	for (int i = 1; RING && i < RING_SLOTS - 1; i++) fetch(f, p, lot);
}

// next takes the tile that was fetched first, and fetches another.
template <int type, bool RING> DEVICE void next(Flow &f, Loaded *v, Loaded *pending, const Product &p, const Lot &lot) {
	if (RING) {
		cp_async_wait<RING_SLOTS - 2>();
		__syncwarp(); // the copies of other lanes, too; and all have read the slot before
		const char *slot = dynamic_shared() + f.from;
		f.from = following(f, f.from);
		fetch(f, p, lot);
		take<type>(v, slot);
	} else {
		v[0] = pending[0], v[1] = pending[1];
		f.ready = false;
		if (f.left == 0 && (f.unit += at_once(p)) < lot.units) aim<false>(f, p, lot);
		if (f.left > 0 && f.type == type) fetch_loaded<type>(f, pending, p); // another when its unit begins
	}
}
