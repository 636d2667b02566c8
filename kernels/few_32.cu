// few_32, few_32_ring: products of up to 32 rows; see few.cuh.
#define HOPPER
#include "few.cuh"

EARLY_KERNEL(few_32, FewArgs, FEW_THREADS, 1) { few<4, false>(a); }
EARLY_KERNEL(few_32_ring, FewArgs, FEW_THREADS, 1) {
	if (async_copies) few<4, true>(a);
}
