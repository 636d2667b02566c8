// Tiles of matmul.cuh for some types of weights: matmul_{type}_{128,64,16}.
#include "matmul.cuh"

MATMUL(NF4, nf4)
MATMUL(FP4, fp4)
MATMUL(LLM_INT8, llm_int8)
