// The parts of the emulated device: fibers.cc runs kernels, memory.cc is its
// memory, driver.cc, stream.cc the driver's functions.
#pragma once
#include "runtime.h"
#include <stddef.h>
#include <stdint.h>
#include <string>
#include <vector>

struct Kernel {
	std::string name, file;
	void (*entry)(const void *args);
	size_t args_bytes;
	int threads, blocks;    // launch bounds
	int module;             // index of its shared object
	int max_dynamic = 48 << 10; // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
};

struct Launch {
	Kernel *kernel;
	unsigned grid[3], block[3];
	size_t dynamic;
	std::vector<char> args;
	bool cooperative;
	int device;
	int capability; // 80
};

// kernels.cc
void load_kernels();
Kernel *find_kernel(const char *name);
Kernel *kernel_at(size_t i); // in the order of registration; 0 past the last
struct Static { char *start; size_t bytes; };
Static static_shared(int module); // of the calling thread
size_t static_shared_bytes(int module);

// fibers.cc
int run_launch(const Launch &l); // 0 or an error of kernels
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *last_fault();
long environment(const char *name, long otherwise);

// memory.cc
struct Allocation {
	uintptr_t start; size_t bytes; // as asked for
	uintptr_t map; size_t map_bytes;
	int device; // -1: the host's
	bool freed;
};
// 0 when there is no more address space.
void *allocate(size_t bytes, int device);
int release(void *p, int device); // 0, or CUDA_ERROR_INVALID_VALUE
const Allocation *allocation_at(uintptr_t p); // the one that p lies in or, in its guard zones, near; freed ones, too
const Allocation *allocation_of(uintptr_t p, size_t bytes); // live and holding all of it
std::string describe_address(uintptr_t p);
bool check_guards(); // false, and says so, when something was written around an allocation
size_t release_all(int device);
