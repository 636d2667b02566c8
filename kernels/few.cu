// few_8, few_8_ring: products of up to 8 rows, of all types that have planes; see
// few.cuh.
#define HOPPER
#include "few.cuh"

EARLY_KERNEL(few_8, FewArgs, FEW_THREADS, 1) { few<1, false>(a); }
EARLY_KERNEL(few_8_ring, FewArgs, FEW_THREADS, 1) {
	if (async_copies) few<1, true>(a);
}
