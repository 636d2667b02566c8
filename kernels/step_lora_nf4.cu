// step_lora_nf4_{dim}_f16: one token through a model of nf4 with adapters
// (QLoRA), with q6_k or q8_0 beside it; see step.cuh and adapted.cuh. Heads of 256
// have step_lora_all.cu.
#define NF4_TYPES
#define ADAPTED
#include "step.cuh"

STEP(step_lora_nf4, 64, f16, F16)
STEP(step_lora_nf4, 128, f16, F16)
