// matvec: y (m) = W (m, k) · x (k), W packed (see format.cuh), x and y f32.
//
// Launch: one block of 512 threads an SM. Shared memory: the ring and the
// activations. Bound by reading W once; see matvec.cuh.
#include "matvec.cuh"

struct MatVec {
	Product product;
	int32_t depth; // of the ring
	int32_t unused;
};

template <bool RING> DEVICE void matvec(const MatVec &a) {
	SHARED Product p;
	SHARED float sums[2 * MATVEC_WARPS];
	SHARED Best bests[MATVEC_WARPS];
	SHARED float gates[MATVEC_WARPS * GATES];
	copy_words(&p, &a.product, sizeof(Product));
	__syncthreads();
	char *memory = dynamic_shared();
	Flow f = start_flow(activation_bytes(p.cols), 0, a.depth);
	Loaded pending[UNROLL];
	Activations x = activations(memory, p.cols / 32);
	float factor = prepare(p, x, sums);
	product<RING>(&p, 0, f, pending, x, factor, gates, bests);
}

KERNEL(matvec, MatVec, MATVEC_THREADS, 1) { matvec<false>(a); }
KERNEL(matvec_ring, MatVec, MATVEC_THREADS, 1) {
	if (async_copies) matvec<true>(a);
}
