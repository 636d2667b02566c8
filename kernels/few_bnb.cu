// few_{8,32}_{type} of bitsandbytes' types; see few.cuh.
#include "few.cuh"

FEW(NF4, nf4)
FEW(FP4, fp4)
FEW(LLM_INT8, llm_int8)
