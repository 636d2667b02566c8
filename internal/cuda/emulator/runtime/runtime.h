// What a kernel compiled for the host (kernels/emulate.h) asks of the emulated
// device. No standard header: kernels are compiled without any.
#pragma once

typedef unsigned long long emu_u64;

struct emu_uint3 { unsigned x, y, z; };

// An emu_thread is what a thread of the running kernel knows of itself.
struct emu_thread {
	emu_uint3 thread, block, block_dim, grid_dim;
	unsigned lane; // of its warp
	char *dynamic; // the block's dynamic shared memory
};

// Errors of kernels: CUDA's numbers (cudaError_enum in cuda.h).
enum {
	EMU_ILLEGAL_ADDRESS = 700,
	EMU_TIMEOUT = 702,
	EMU_ASSERT = 710,
	EMU_ILLEGAL_INSTRUCTION = 715,
	EMU_MISALIGNED = 716,
	EMU_LAUNCH_FAILED = 719,
};

// The forms of __syncthreads.
enum { EMU_SYNC, EMU_SYNC_AND, EMU_SYNC_OR, EMU_SYNC_COUNT };

// An emu_operation is what the lanes of `mask` do together: the last one to
// arrive calls it with what each lane gave; in[i] is 0 for lanes that take no
// part or have ended.
typedef void (*emu_operation)(unsigned mask, const void *const in[32], void *const out[32], int arg);

extern "C" {
extern __thread emu_thread *emu_self __attribute__((tls_model("initial-exec")));

void emu_register(const char *name, void (*entry)(const void *args), unsigned long args_bytes, int threads, int blocks, const char *file);
int emu_syncthreads(int form, int predicate);
void emu_collective(const char *name, emu_operation op, unsigned mask, const void *in, void *out, int arg);
void emu_pause();
void emu_fault(int code, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
void emu_async_copy(void *shared, const void *global, unsigned bytes);
void emu_async_commit();
void emu_async_wait(int groups);
emu_u64 emu_clock();
int emu_capability(); // 80
}
