// Rows: dst (n, cols) = table (rows, cols) at the rows ids (n) i32. Without ids
// dst are the n chunks of 32 numbers from `first` on: how Convert decodes.
//
//	rows_{type}      table in planes
//	rows_raw_{type}  table in blocks, as a file has them
//	rows_plain       table of a plain type, in numbers instead of chunks
//
// dst is of a plain type (Rows: f32). An id outside the table is reported, and
// its row of dst stays as it was.
//
// A lane decodes a chunk; the warp then writes its 32 chunks one after the
// other, each as one row of the tile in shared memory.
// Launch: ceil(n·chunks / 128) blocks of 128 threads (plain: ceil(n·cols / 256)
// of 256).
// Bound: memory, mostly the writes.
// measured: 3.9 µs for 512 rows of 4096 in q4_k (H200, 2026-11-23)
#include "cuda.cuh"
#include "fault.cuh"
#include "format.cuh"
#include "number.cuh"

struct RowsArgs {
	Planes table;
	uint64_t dst;
	uint64_t ids;   // i32 (n), or 0
	uint64_t fault;
	int64_t first;  // chunk of the table's first row
	int64_t n;      // chunks of dst (plain: numbers)
	int32_t chunks; // of a row of the table (plain: numbers)
	int32_t rows;   // of the table
	int32_t type;   // of dst (plain: of the table)
	int32_t pad;
};

// row_of is where item i of dst is in the table; -1 if nowhere.
DEVICE int64_t row_of(const RowsArgs &a, int64_t i) {
	if (a.ids == 0) return i;
	int id = ((const int32_t *)a.ids)[i / a.chunks];
	if (id < 0 || id >= a.rows) {
		report(a.fault, FAULT_ROW, id);
		return -1;
	}
	return (int64_t)id * a.chunks + i % a.chunks;
}

template <int T> DEVICE void rows(const RowsArgs &a) {
	SHARED float tiles[4][32 * 33];
	int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
	float *tile = tiles[warp];
	int64_t begin = ((int64_t)blockIdx.x * 4 + warp) * 32, i = begin + lane;
	int64_t at = i < a.n ? row_of(a, i) : -1;
	if (at >= 0) {
		float w[32];
		decode_chunk<T>(w, a.table, a.first + at, a.chunks);
#pragma unroll
		for (int k = 0; k < 32; k++) tile[33 * lane + k] = w[k];
	}
	uint32_t there = __ballot_sync(full_warp, at >= 0);
	__syncwarp();
	if (a.type == F32) {
		float *to = (float *)a.dst + begin * 32 + lane;
#pragma unroll 4
		for (int k = 0; k < 32; k++)
			if (there >> k & 1) to[32 * k] = tile[33 * k + lane];
		return;
	}
#pragma unroll 1
	for (int k = 0; k < 32; k++)
		if (there >> k & 1) put_number((void *)a.dst, a.type, (begin + k) * 32 + lane, tile[33 * k + lane]);
}

#define PACKED(T, name) KERNEL(rows_##name, RowsArgs, 128, 1) { rows<T>(a); }
PACKED_TYPES(PACKED)
#define UNPACKED(T, name) KERNEL(rows_raw_##name, RowsArgs, 128, 1) { rows<T + RAW>(a); }
RAW_TYPES(UNPACKED)

KERNEL(rows_plain, RowsArgs, 256, 1) {
	int64_t i = (int64_t)blockIdx.x * 256 + threadIdx.x;
	int64_t at = i < a.n ? row_of(a, i) : -1;
	if (at >= 0) ((float *)a.dst)[i] = number_at(a.table.p[0], a.type, at);
}
