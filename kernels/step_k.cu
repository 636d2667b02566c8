// step_k_{dim}_{cache}: one token through a model with weights of q4_k and q6_k
// alone, as most of Q4_K_M are; see step.cuh.
#define TYPES 2
#include "step.cuh"

STEPS(step_k)
