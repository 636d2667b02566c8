// step_{dim}_{cache}: one token through a model whose weights are of the types of
// Q4_K_M files, q4_k, q6_k, q5_0 and q8_0; see step.cuh. Code for nine more types
// makes it 5 to 8 % slower (H100, 2026-11-28), so those have step_all.cu.
#define TYPES 4
#include "step.cuh"

STEPS(step)
