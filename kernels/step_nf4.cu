// step_nf4_{dim}_f16: one token through a model of nf4, with q6_k or q8_0 beside
// it (a head, an embedding); see step.cuh. Like step.cu it has few types, and no
// more shapes than such models have: all else is step_all.cu's.
#define NF4_TYPES
#include "step.cuh"

STEP(step_nf4, 64, f16, F16)
STEP(step_nf4, 128, f16, F16)
STEP(step_nf4, 256, f16, F16)
