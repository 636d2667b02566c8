// Pack makes planes (format.cuh) of a file's blocks, unpack the blocks again.
//
//	pack_{type}    raw → dst; a thread a chunk
//	unpack_{type}  dst → raw; a thread a byte: nothing but Read asks for it
//
// Both take the chunks [first, first+n), whole blocks, so that a weight can
// come in pieces; raw is where the first of them lies, at an even address.
// Launch: ceil(n / 256) blocks (unpack: of bytes) of 256 threads.
// Bound: memory, twice the bytes; the bus to the card is slower.
// measured: not yet
#include "cuda.cuh"
#include "format.cuh"

struct PackArgs {
	Planes planes;
	uint64_t raw;
	int64_t first, n; // chunks
	int32_t chunks;   // of a row
	int32_t pad;
};

// plane_at is the address of a plane's byte for writing.
DEVICE char *plane_at(const Planes &p, int plane, int64_t byte) { return (char *)p.p[plane] + byte; }

DEVICE void put2(char *p, uint32_t v) { *(uint16_t *)p = (uint16_t)v; }
DEVICE void put4(char *p, uint32_t v) { *(uint32_t *)p = v; }

// put_q writes the low nibbles of 32 integers.
DEVICE void put_q(const Planes &p, int64_t c, const uint32_t q[8]) {
	*(uint4 *)plane_at(p, 0, 16 * c) = make_uint4(nibbles(q[0]) | nibbles(q[4]) << 4, nibbles(q[1]) | nibbles(q[5]) << 4,
		nibbles(q[2]) | nibbles(q[6]) << 4, nibbles(q[3]) | nibbles(q[7]) << 4);
}

// put_h1 writes bit `bit` of 32 integers.
DEVICE void put_h1(const Planes &p, int64_t c, const uint32_t q[8], int bit) {
	uint32_t h = 0;
#pragma unroll
	for (int i = 0; i < 8; i++) h |= (q[i] >> bit & 0x01010101) << i;
	put4(plane_at(p, 1, 4 * c), h);
}

// put_h2 writes the bits `bit` and bit+1 of 32 integers.
DEVICE void put_h2(const Planes &p, int plane, int64_t c, const uint32_t q[8], int bit) {
	uint2 h = make_uint2(0, 0);
#pragma unroll
	for (int i = 0; i < 4; i++) {
		h.x |= (q[i] >> bit & 0x03030303) << 2 * i;
		h.y |= (q[4 + i] >> bit & 0x03030303) << 2 * i;
	}
	*(uint2 *)plane_at(p, plane, 8 * c) = h;
}

// put_head writes the head of superblock s.
DEVICE void put_head(const Planes &p, int plane, int64_t s, const uint32_t raw[4]) {
	uint32_t w[4] = {raw[0], 0, 0, 0};
#pragma unroll
	for (int j = 0; j < 8; j++) {
		uint32_t field = raw_scale_offset(raw[1], raw[2], raw[3], j);
		w[1 + 12 * j / 32] |= field << 12 * j % 32;
		if (12 * j % 32 > 20) w[2 + 12 * j / 32] |= field >> (32 - 12 * j % 32);
	}
	*(uint4 *)plane_at(p, plane, 16 * s) = make_uint4(w[0], w[1], w[2], w[3]);
}

template <int T> DEVICE void pack(const PackArgs &a) {
	constexpr int A = T == MXFP4 ? 1 : 2, chunks = block_chunks(T);
	int64_t i = (int64_t)blockIdx.x * 256 + threadIdx.x;
	if (i >= a.n) return;
	const char *b = (const char *)a.raw + i / chunks * block_bytes(T);
	const Planes &p = a.planes;
	Place at = place_in(a.first + i, a.chunks);
	int64_t c = at.c, s = at.s;
	int j = (int)(i % chunks);
	uint32_t q[8];
	raw_integers<T, A>(q, b, j);
	if constexpr (T == Q8_0 || T == LLM_INT8) {
		char *to = plane_at(p, 0, c / 8 * 256 + c % 8 * 16);
		*(uint4 *)to = make_uint4(q[0], q[1], q[2], q[3]);
		*(uint4 *)(to + 128) = make_uint4(q[4], q[5], q[6], q[7]);
	} else if constexpr (T == Q2_K || T == Q3_K) {
		put_h2(p, 0, c, q, 0);
	} else if constexpr (of_levels(T)) {
		uint32_t w[4];
#pragma unroll
		for (int i = 0; i < 4; i++) w[i] = join(to_plane<T>(q[i])) | join(to_plane<T>(q[4 + i])) << 16;
		*(uint4 *)plane_at(p, 0, 16 * c) = make_uint4(w[0], w[1], w[2], w[3]);
	} else {
		put_q(p, c, q);
	}
	if constexpr (T == Q5_0 || T == Q5_1 || T == Q5_K) put_h1(p, c, q, 4);
	if constexpr (T == Q3_K) put_h1(p, c, q, 2);
	if constexpr (T == Q6_K) put_h2(p, 1, c, q, 4);

	if constexpr (T == Q4_0 || T == Q8_0 || T == IQ4_NL || T == Q5_0) put2(plane_at(p, T == Q5_0 ? 2 : 1, 2 * c), load2(b));
	if constexpr (T == Q4_1 || T == Q5_1) put4(plane_at(p, T == Q5_1 ? 2 : 1, 4 * c), load_word<A>(b));
	if constexpr (T == MXFP4) *plane_at(p, 1, c) = (char)load1(b);
	if constexpr (of_levels(T) || T == LLM_INT8) {
		if (j == 0) put4(plane_at(p, 1, 2 * c), load_word<A>(b));
	}
	if constexpr (T == Q2_K) {
		put2(plane_at(p, 1, 2 * c), load2(b + 2 * j));
		if (j == 0) put4(plane_at(p, 2, 4 * s), load_word<A>(b + 80));
	}
	if constexpr (T == Q3_K) {
		put2(plane_at(p, 2, 2 * c), (q3_k_scales(b, j) + 0x6060) ^ 0x8080);
		if (j == 0) put2(plane_at(p, 3, 2 * s), load2(b + 108));
	}
	if constexpr (T == Q4_K || T == Q5_K) {
		if (j == 0) {
			uint32_t head[4];
			load_words<4, A>(head, b);
			put_head(p, T == Q4_K ? 1 : 2, s, head);
		}
	}
	if constexpr (T == Q6_K) {
		put2(plane_at(p, 2, 2 * c), load2(b + 192 + 2 * j));
		if (j == 0) put2(plane_at(p, 3, 2 * s), load2(b + 208));
	}
	if constexpr (T == IQ4_XS) {
		*plane_at(p, 1, c) = (char)(iq4_xs_scale(b, j) - 32);
		if (j == 0) put2(plane_at(p, 2, 2 * s), load2(b));
	}
}

// Bytes and bits of the planes.
DEVICE uint32_t plane_byte(const Planes &p, int plane, int64_t at) { return *(const uint8_t *)(p.p[plane] + at); }
DEVICE uint32_t q_of(const Planes &p, int64_t c, int i) { return plane_byte(p, 0, 16 * c + i % 16) >> i / 16 * 4 & 15; }
DEVICE uint32_t h1_of(const Planes &p, int64_t c, int i) { return plane_byte(p, 1, 4 * c + i % 4) >> i / 4 & 1; }
DEVICE uint32_t h2_of(const Planes &p, int plane, int64_t c, int i) {
	return plane_byte(p, plane, 8 * c + i / 16 * 4 + i % 4) >> i % 16 / 4 * 2 & 3;
}

// scale_byte is scale i of the 16 of a superblock, two a chunk.
DEVICE uint32_t scale_byte(const Planes &p, int plane, int64_t c, int i) { return plane_byte(p, plane, 2 * chunk_on(c, i / 2) + i % 2); }

// raw_byte is byte i of the block whose first chunk is at: the layouts of
// package tensor.
template <int T> DEVICE uint32_t raw_byte(const Planes &p, const Place &at, int i) {
	int64_t c = at.c, s = at.s;
	constexpr int scale = T == Q5_0 || T == Q5_1 || T == Q5_K ? 2 : 1; // plane of d, or the head
	if constexpr (T == Q4_0 || T == IQ4_NL || T == Q4_1 || T == Q5_0 || T == Q5_1 || T == Q8_0 || T == MXFP4) {
		constexpr int d = T == MXFP4 ? 1 : T == Q4_1 || T == Q5_1 ? 4 : 2, begin = T == Q5_0 || T == Q5_1 ? d + 4 : d;
		if (i < d) return plane_byte(p, scale, d * c + i);
		if (i < begin) {
			uint32_t h = 0;
			for (int k = 0; k < 8; k++) h |= h1_of(p, c, 8 * (i - d) + k) << k;
			return h;
		}
		i -= begin;
		return T == Q8_0 ? plane_byte(p, 0, c / 8 * 256 + i / 16 * 128 + c % 8 * 16 + i % 16) : plane_byte(p, 0, 16 * c + i);
	}
	if constexpr (of_levels(T) || T == LLM_INT8) {
		if (i < 4) return plane_byte(p, 1, 2 * c + i);
		i -= 4;
		if constexpr (T == LLM_INT8) {
			c += i / 32, i %= 32;
			return plane_byte(p, 0, c / 8 * 256 + i / 16 * 128 + c % 8 * 16 + i % 16);
		}
		int n = i % 16 * 2; // the first of two numbers of a chunk
		uint32_t two = plane_byte(p, 0, 16 * (c + i / 16) + n % 16 / 4 * 4 + n / 16 * 2 + n % 4 / 2);
		two = to_file<T>((two & 15) | (two >> 4) << 8);
		return (two & 15) << 4 | two >> 8;
	}
	if constexpr (T == Q2_K || T == Q3_K) {
		constexpr int begin = T == Q2_K ? 16 : 32, d = T == Q2_K ? 80 : 108;
		if (i >= d) return plane_byte(p, T == Q2_K ? 2 : 3, (T == Q2_K ? 4 : 2) * s + i - d);
		uint32_t v = 0;
		if (i < begin) {
			if constexpr (T == Q2_K) v = scale_byte(p, 1, c, i);
			else for (int k = 0; k < 8; k++) v |= h1_of(p, chunk_on(c, k), i) << k;
		} else if (i < begin + 64) {
			for (int k = 0; k < 4; k++) v |= h2_of(p, 0, chunk_on(c, (i - begin) / 32 * 4 + k), (i - begin) % 32) << 2 * k;
		} else if (i < 104) {
			i -= 96;
			v = (scale_byte(p, 2, c, i) & 15) | (scale_byte(p, 2, c, i + 8) & 15) << 4;
		} else {
			for (int k = 0; k < 4; k++) v |= (scale_byte(p, 2, c, 4 * k + i - 104) + 32 >> 4 & 3) << 2 * k;
		}
		return v;
	}
	if constexpr (T == Q4_K || T == Q5_K) {
		constexpr int begin = T == Q4_K ? 16 : 48;
		if (i < 4) return plane_byte(p, scale, 16 * s + i);
		if (i < 16) {
			uint4 head = load16(p.p[scale] + 16 * s);
			int j = i % 4;
			uint32_t lo = scale_offset(head, j), hi = scale_offset(head, j + 4);
			if (i < 8) return (lo & 63) | (hi >> 4 & 3) << 6;
			if (i < 12) return lo >> 6 | hi >> 10 << 6;
			return (hi & 15) | (hi >> 6 & 15) << 4;
		}
		if (i < begin) {
			uint32_t h = 0;
			for (int k = 0; k < 8; k++) h |= h1_of(p, chunk_on(c, k), i - 16) << k;
			return h;
		}
		i -= begin;
		int k = i / 32 * 2;
		return q_of(p, chunk_on(c, k), i % 32) | q_of(p, chunk_on(c, k + 1), i % 32) << 4;
	}
	if constexpr (T == Q6_K) {
		if (i < 128) {
			int k = i / 64 * 4 + i / 32 % 2;
			return q_of(p, chunk_on(c, k), i % 32) | q_of(p, chunk_on(c, k + 2), i % 32) << 4;
		}
		if (i < 192) {
			uint32_t h = 0;
			for (int k = 0; k < 4; k++) h |= h2_of(p, 1, chunk_on(c, (i - 128) / 32 * 4 + k), i % 32) << 2 * k;
			return h;
		}
		return i < 208 ? scale_byte(p, 2, c, i - 192) : plane_byte(p, 3, 2 * s + i - 208);
	}
	if constexpr (T == IQ4_XS) {
		uint32_t v = 0;
		if (i < 2) return plane_byte(p, 2, 2 * s + i);
		if (i < 4) {
			for (int k = 0; k < 4; k++) v |= (plane_byte(p, 1, chunk_on(c, 4 * (i - 2) + k)) + 32 >> 4 & 3) << 2 * k;
			return v;
		}
		if (i < 8) return (plane_byte(p, 1, chunk_on(c, 2 * (i - 4))) & 15) | (plane_byte(p, 1, chunk_on(c, 2 * (i - 4) + 1)) & 15) << 4;
		return plane_byte(p, 0, 16 * chunk_on(c, (i - 8) / 16) + (i - 8) % 16);
	}
	return 0;
}

template <int T> DEVICE void unpack(const PackArgs &a) {
	int64_t i = (int64_t)blockIdx.x * 256 + threadIdx.x;
	constexpr int chunks = block_chunks(T), bytes = block_bytes(T);
	if (i < a.n / chunks * bytes) ((uint8_t *)a.raw)[i] = (uint8_t)raw_byte<T>(a.planes, place_in(a.first + i / bytes * chunks, a.chunks), (int)(i % bytes));
}

#define DEFINE(T, name) \
	KERNEL(pack_##name, PackArgs, 256, 1) { pack<T>(a); } \
	KERNEL(unpack_##name, PackArgs, 256, 1) { unpack<T>(a); }
PACKED_TYPES(DEFINE)
