// step_lora_k_{dim}_f16: one token through a model with adapters and weights of
// q4_k and q6_k alone; see step.cuh and adapted.cuh. Heads of 256 have step_lora.cu.
#define TYPES 2
#define ADAPTED
#include "step.cuh"

STEP(step_lora_k, 64, f16, F16)
STEP(step_lora_k, 128, f16, F16)
