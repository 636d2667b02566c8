// step_all_{dim}_{cache}: one token through a model with weights of all types
// that are packed; see step.cuh.
#include "step.cuh"

STEPS(step_all)
