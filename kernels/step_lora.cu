// step_lora_{dim}_f16: one token through a model with adapters and weights of the
// types of Q4_K_M files, as step.cu; see step.cuh and adapted.cuh.
#define TYPES 4
#define ADAPTED
#include "step.cuh"

STEP(step_lora, 64, f16, F16)
STEP(step_lora, 128, f16, F16)
STEP(step_lora, 256, f16, F16)
