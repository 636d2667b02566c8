// A driver library for a GPU that is not there: the functions of CUDA's driver
// API that llcuda calls, with kernels compiled for the host. The rules that a
// real driver keeps are kept: contexts are a thread's, errors of kernels stick
// to their context, limits of launches are those of the capability.
//
// Set by the environment, read at each call:
//
//	EMU_DEVICES         devices (1)
//	EMU_CC              compute capability (8.0)
//	EMU_MEMORY          bytes of memory of each device (4 GiB)
//	EMU_SMS             multiprocessors (4)
//	EMU_DRIVER_VERSION  what cuDriverGetVersion says (12010)
//	EMU_FAIL            function:n:code,… – the n-th call returns code (n 0: each)
//	EMU_LAZY            1: streams run when something waits for them, not before
//	EMU_THREADS, EMU_TIMEOUT, EMU_ORDER, EMU_QUIET: fibers.cc
#include "driver.h"
#include <algorithm>
#include <map>
#include <set>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static std::recursive_mutex driver_lock;
static bool initialised;
static Context contexts[max_devices];
__thread Context *current __attribute__((tls_model("initial-exec"))) = 0;

static int device_count() { return std::min((int)environment("EMU_DEVICES", 1), max_devices); }
static size_t total_memory() { return environment("EMU_MEMORY", 4l << 30); }
static int multiprocessors() { return environment("EMU_SMS", 4); }

int compute_capability() {
	const char *s = getenv("EMU_CC");
	int major = 8, minor = 0;
	if (s && *s) sscanf(s, "%d.%d", &major, &minor);
	return major * 10 + minor;
}

int shared_optin() {
	int cc = compute_capability();
	int kb = cc < 75 ? 96 : cc < 80 ? 64 : cc == 80 || cc == 87 ? 163 : cc < 90 || cc >= 120 ? 99 : 227;
	return kb << 10;
}

int shared_per_sm() { return compute_capability() < 80 ? shared_optin() : shared_optin() + (1 << 10); }

Context *context_of(int device) { return &contexts[device]; }

// injected is what EMU_FAIL wants this call to return.
static int injected(const char *name) {
	static std::string text;
	static std::map<std::string, int> calls;
	const char *now = getenv("EMU_FAIL");
	if (!now) now = "";
	if (text != now) text = now, calls.clear();
	if (text.empty()) return 0;
	std::string full = name, plain = full.substr(0, full.find("_v"));
	int call = ++calls[plain];
	for (size_t i = 0; i < text.size();) {
		size_t end = std::min(text.find(',', i), text.size());
		std::string item = text.substr(i, end - i);
		i = end + 1;
		char which[80];
		int n, code;
		if (sscanf(item.c_str(), "%79[^:]:%d:%d", which, &n, &code) != 3) continue;
		if ((full == which || plain == which) && (n == 0 || n == call)) return code;
	}
	return 0;
}

Entry::Entry(const char *name, int needs) : lock(driver_lock) {
	code = injected(name);
	if (code) return;
	if (needs && !initialised) code = NOT_INITIALIZED;
	else if (needs & NEEDS_CONTEXT && (!current || !current->users)) code = INVALID_CONTEXT;
	else if (needs & NEEDS_CONTEXT && current->error) code = current->error;
	else if (needs & NOT_IN_CAPTURE && any_capture_forbids()) {
		say("%s while a stream is being captured", name);
		invalidate_captures();
		code = CAPTURE_UNSUPPORTED;
	}
}

API const char *emuLastFault() { return last_fault(); }

API int cuDriverGetVersion(int *version) {
	ENTER("cuDriverGetVersion", 0);
	*version = environment("EMU_DRIVER_VERSION", 12010);
	return 0;
}

API int cuInit(unsigned flags) {
	ENTER("cuInit", 0);
	if (flags) return INVALID_VALUE;
	if (device_count() == 0) return NO_DEVICE;
	if (!initialised) {
		for (int i = 0; i < max_devices; i++) contexts[i].device = i;
		load_kernels();
	}
	initialised = true;
	return 0;
}

struct ErrorText { int code; const char *name, *text; };

static const ErrorText errors[] = {
	{0, "CUDA_SUCCESS", "no error"},
	{1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
	{2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
	{3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
	{4, "CUDA_ERROR_DEINITIALIZED", "driver shutting down"},
	{34, "CUDA_ERROR_STUB_LIBRARY", "CUDA driver is a stub library"},
	{46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA-capable device(s) is/are busy or unavailable"},
	{100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
	{101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
	{200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
	{201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
	{209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
	{214, "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"},
	{218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
	{222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the provided PTX was compiled with an unsupported toolchain."},
	{304, "CUDA_ERROR_OPERATING_SYSTEM", "OS call failed or operation not supported on this OS"},
	{400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
	{401, "CUDA_ERROR_ILLEGAL_STATE", "the operation cannot be performed in the present state"},
	{500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
	{600, "CUDA_ERROR_NOT_READY", "device not ready"},
	{700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
	{701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
	{702, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"},
	{710, "CUDA_ERROR_ASSERT", "device-side assert triggered"},
	{715, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "an illegal instruction was encountered"},
	{716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
	{719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
	{720, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", "too many blocks in cooperative launch"},
	{801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
	{803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "system has unsupported display driver / cuda driver combination"},
	{804, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "forward compatibility was attempted on non supported HW"},
	{900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
	{901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
	{903, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not initiated in this stream"},
	{904, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
	{907, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
	{999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

API int cuGetErrorName(int code, const char **name) {
	for (auto &e : errors) if (e.code == code) return *name = e.name, 0;
	return *name = 0, INVALID_VALUE;
}

API int cuGetErrorString(int code, const char **text) {
	for (auto &e : errors) if (e.code == code) return *text = e.text, 0;
	return *text = 0, INVALID_VALUE;
}

// Devices.

API int cuDeviceGetCount(int *n) {
	ENTER("cuDeviceGetCount", NEEDS_INIT);
	*n = device_count();
	return 0;
}

API int cuDeviceGet(int *device, int ordinal) {
	ENTER("cuDeviceGet", NEEDS_INIT);
	if (ordinal < 0 || ordinal >= device_count()) return INVALID_DEVICE;
	*device = ordinal;
	return 0;
}

#define DEVICE_CALL(name) \
	ENTER(name, NEEDS_INIT); \
	if (device < 0 || device >= device_count()) return INVALID_DEVICE

API int cuDeviceGetName(char *name, int n, int device) {
	DEVICE_CALL("cuDeviceGetName");
	snprintf(name, n, "Emulated GPU");
	return 0;
}

API int cuDeviceGetUuid(char *uuid, int device) {
	DEVICE_CALL("cuDeviceGetUuid");
	memcpy(uuid, "llcuda emulated", 15);
	uuid[15] = device;
	return 0;
}
API int cuDeviceGetUuid_v2(char *uuid, int device) { return cuDeviceGetUuid(uuid, device); }

API int cuDeviceTotalMem_v2(size_t *bytes, int device) {
	DEVICE_CALL("cuDeviceTotalMem_v2");
	*bytes = total_memory();
	return 0;
}

API int cuDeviceGetPCIBusId(char *text, int n, int device) {
	DEVICE_CALL("cuDeviceGetPCIBusId");
	snprintf(text, n, "0000:%02x:00.0", device + 1);
	return 0;
}

API int cuDeviceComputeCapability(int *major, int *minor, int device) {
	DEVICE_CALL("cuDeviceComputeCapability");
	*major = compute_capability() / 10, *minor = compute_capability() % 10;
	return 0;
}

static int threads_per_sm() { return compute_capability() == 75 ? 1024 : 2048; }

API int cuDeviceGetAttribute(int *value, int attribute, int device) {
	DEVICE_CALL("cuDeviceGetAttribute");
	switch (attribute) {
	case 1: *value = 1024; break;                     // MAX_THREADS_PER_BLOCK
	case 2: case 3: *value = 1024; break;             // MAX_BLOCK_DIM
	case 4: *value = 64; break;
	case 5: *value = 2147483647; break;               // MAX_GRID_DIM
	case 6: case 7: *value = 65535; break;
	case 8: *value = 48 << 10; break;                 // MAX_SHARED_MEMORY_PER_BLOCK
	case 9: *value = 64 << 10; break;                 // TOTAL_CONSTANT_MEMORY
	case 10: *value = 32; break;                      // WARP_SIZE
	case 11: *value = 2147483647; break;              // MAX_PITCH
	case 12: case 82: *value = 65536; break;          // MAX_REGISTERS_PER_BLOCK, _MULTIPROCESSOR
	case 13: *value = 1000000; break;                 // CLOCK_RATE, kHz
	case 14: *value = 512; break;                     // TEXTURE_ALIGNMENT
	case 16: *value = multiprocessors(); break;       // MULTIPROCESSOR_COUNT
	case 17: case 18: case 20: case 32: case 35: case 50: case 84: case 88: case 89: *value = 0; break;
	case 19: case 31: case 41: case 78: case 83: case 90: case 91: case 95: *value = 1; break; // mapped memory, unified addresses, cooperative launches
	case 33: *value = device + 1; break;              // PCI_BUS_ID
	case 34: *value = 0; break;                       // PCI_DEVICE_ID
	case 36: *value = 1000000; break;                 // MEMORY_CLOCK_RATE, kHz
	case 37: *value = 256; break;                     // GLOBAL_MEMORY_BUS_WIDTH
	case 38: *value = 4 << 20; break;                 // L2_CACHE_SIZE
	case 39: *value = threads_per_sm(); break;        // MAX_THREADS_PER_MULTIPROCESSOR
	case 40: *value = 2; break;                       // ASYNC_ENGINE_COUNT
	case 75: *value = compute_capability() / 10; break;
	case 76: *value = compute_capability() % 10; break;
	case 81: *value = shared_per_sm(); break;         // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
	case 97: *value = shared_optin(); break;          // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
	case 106: *value = 16; break;                     // MAX_BLOCKS_PER_MULTIPROCESSOR
	case 111: *value = compute_capability() < 80 ? 0 : 1 << 10; break; // RESERVED_SHARED_MEMORY_PER_BLOCK
	default: *value = 0;
	}
	return 0;
}

// Contexts.

API int cuDevicePrimaryCtxRetain(Context **context, int device) {
	DEVICE_CALL("cuDevicePrimaryCtxRetain");
	contexts[device].users++;
	*context = &contexts[device];
	return 0;
}

static void reset(Context &c) {
	drain();
	check_guards();
	release_all(c.device);
	c.used = 0, c.error = 0;
}

API int cuDevicePrimaryCtxRelease_v2(int device) {
	DEVICE_CALL("cuDevicePrimaryCtxRelease_v2");
	if (contexts[device].users == 0) return INVALID_CONTEXT;
	if (--contexts[device].users == 0) reset(contexts[device]);
	return 0;
}
API int cuDevicePrimaryCtxRelease(int device) { return cuDevicePrimaryCtxRelease_v2(device); }

API int cuDevicePrimaryCtxReset_v2(int device) {
	DEVICE_CALL("cuDevicePrimaryCtxReset_v2");
	reset(contexts[device]);
	return 0;
}

API int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
	DEVICE_CALL("cuDevicePrimaryCtxGetState");
	*flags = 0, *active = contexts[device].users > 0;
	return 0;
}

API int cuDevicePrimaryCtxSetFlags_v2(int device, unsigned) {
	DEVICE_CALL("cuDevicePrimaryCtxSetFlags_v2");
	return 0;
}

static bool is_context(Context *c) { return c >= contexts && c < contexts + max_devices; }

API int cuCtxSetCurrent(Context *c) {
	ENTER("cuCtxSetCurrent", NEEDS_INIT);
	if (c && !is_context(c)) return INVALID_CONTEXT;
	current = c;
	return 0;
}

API int cuCtxGetCurrent(Context **c) {
	ENTER("cuCtxGetCurrent", NEEDS_INIT);
	*c = current;
	return 0;
}

static __thread Context *pushed[32] __attribute__((tls_model("initial-exec")));
static __thread int depth __attribute__((tls_model("initial-exec")));

API int cuCtxPushCurrent_v2(Context *c) {
	ENTER("cuCtxPushCurrent_v2", NEEDS_INIT);
	if (!is_context(c) || depth == 32) return INVALID_CONTEXT;
	pushed[depth++] = current;
	current = c;
	return 0;
}

API int cuCtxPopCurrent_v2(Context **c) {
	ENTER("cuCtxPopCurrent_v2", NEEDS_INIT);
	if (!current) return INVALID_CONTEXT;
	if (c) *c = current;
	current = depth ? pushed[--depth] : 0;
	return 0;
}

API int cuCtxGetDevice(int *device) {
	ENTER("cuCtxGetDevice", NEEDS_INIT);
	if (!current) return INVALID_CONTEXT;
	*device = current->device;
	return 0;
}

API int cuCtxSynchronize() {
	ENTER("cuCtxSynchronize", NEEDS_CONTEXT | NOT_IN_CAPTURE);
	drain();
	if (!check_guards()) current->error = EMU_ILLEGAL_ADDRESS;
	return current->error;
}

// Modules: any image will do, a kernel is found by its name.

struct Module { Context *context; };
static std::set<Module *> loaded;

API int cuModuleLoadData(Module **module, const void *image) {
	ENTER("cuModuleLoadData", NEEDS_CONTEXT | NOT_IN_CAPTURE);
	if (!image) return INVALID_VALUE;
	*module = new Module{current};
	loaded.insert(*module);
	return 0;
}

API int cuModuleLoadDataEx(Module **module, const void *image, unsigned n, int *options, void **values) {
	ENTER("cuModuleLoadDataEx", NEEDS_CONTEXT);
	return cuModuleLoadData(module, image);
}

API int cuModuleUnload(Module *module) {
	ENTER("cuModuleUnload", NEEDS_CONTEXT | NOT_IN_CAPTURE);
	if (!loaded.erase(module)) return INVALID_HANDLE;
	delete module;
	return 0;
}

API int cuModuleGetFunction(Kernel **f, Module *module, const char *name) {
	ENTER("cuModuleGetFunction", NEEDS_CONTEXT);
	if (!loaded.count(module)) return INVALID_HANDLE;
	*f = find_kernel(name);
	return *f ? 0 : NOT_FOUND;
}

API int cuModuleGetLoadingMode(int *mode) {
	*mode = 2; // lazy
	return 0;
}

// Functions.

static bool is_kernel(Kernel *k) {
	if (!k) return false;
	for (size_t i = 0; Kernel *have = kernel_at(i); i++) if (have == k) return true;
	return false;
}

API int cuFuncGetAttribute(int *value, int attribute, Kernel *k) {
	ENTER("cuFuncGetAttribute", NEEDS_CONTEXT);
	if (!is_kernel(k)) return INVALID_HANDLE;
	switch (attribute) {
	case 0: *value = k->threads; break;      // MAX_THREADS_PER_BLOCK
	case 4: *value = 32; break;              // NUM_REGS
	case 5: case 6: *value = compute_capability(); break; // PTX_VERSION, BINARY_VERSION
	case 8: *value = k->max_dynamic; break;  // MAX_DYNAMIC_SHARED_SIZE_BYTES
	default: *value = 0;
	}
	return 0;
}

API int cuFuncSetAttribute(Kernel *k, int attribute, int value) {
	ENTER("cuFuncSetAttribute", NEEDS_CONTEXT);
	if (!is_kernel(k)) return INVALID_HANDLE;
	if (attribute == 9) return 0; // PREFERRED_SHARED_MEMORY_CARVEOUT
	if (attribute != 8 || value < 0 || value > shared_optin()) return INVALID_VALUE;
	k->max_dynamic = value;
	return 0;
}

API int cuFuncSetCacheConfig(Kernel *k, int) {
	ENTER("cuFuncSetCacheConfig", NEEDS_CONTEXT);
	return is_kernel(k) ? 0 : INVALID_HANDLE;
}

API int cuFuncGetParamInfo(Kernel *k, size_t index, size_t *offset, size_t *bytes) {
	ENTER("cuFuncGetParamInfo", NEEDS_CONTEXT);
	if (!is_kernel(k)) return INVALID_HANDLE;
	if (index) return INVALID_VALUE;
	*offset = 0;
	if (bytes) *bytes = k->args_bytes;
	return 0;
}

API int cuFuncGetName(const char **name, Kernel *k) {
	ENTER("cuFuncGetName", NEEDS_CONTEXT);
	if (!is_kernel(k)) return INVALID_HANDLE;
	*name = k->name.c_str();
	return 0;
}

// emuKernel tells name and argument size of the i-th kernel, 0 past the last.
API const char *emuKernel(size_t i, size_t *args_bytes) {
	Kernel *k = kernel_at(i);
	if (!k) return 0;
	*args_bytes = k->args_bytes;
	return k->name.c_str();
}

// blocks_per_sm counts on 64 registers a thread, or what the launch bounds
// promise.
static int blocks_per_sm(Kernel *k, int threads, size_t dynamic) {
	if (threads < 1 || threads > k->threads || (int)dynamic > k->max_dynamic) return 0;
	int rounded = (threads + 31) / 32 * 32;
	int n = std::min({threads_per_sm() / rounded, 16, std::max(k->blocks, 65536 / 64 / rounded)});
	size_t shared = dynamic + (compute_capability() < 80 ? 0 : 1 << 10);
	if (shared) n = std::min(n, (int)(shared_per_sm() / shared));
	return n;
}

API int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, Kernel *k, int threads, size_t dynamic) {
	ENTER("cuOccupancyMaxActiveBlocksPerMultiprocessor", NEEDS_CONTEXT);
	if (!is_kernel(k)) return INVALID_HANDLE;
	if (threads < 1) return INVALID_VALUE;
	*blocks = blocks_per_sm(k, threads, dynamic);
	return 0;
}

// Launches.

// foreign looks for addresses of another device's memory among the arguments.
static bool foreign(const Launch &l) {
	for (size_t i = 0; i + 8 <= l.args.size(); i += 8) {
		uintptr_t p;
		memcpy(&p, &l.args[i], 8);
		const Allocation *a = allocation_of(p, 1);
		if (!a || a->device < 0 || a->device == l.device) continue;
		say("kernel %s on device %d: argument at offset %zu is memory of device %d", l.kernel->name.c_str(), l.device, i, a->device);
		return true;
	}
	return false;
}

static int launch(Kernel *k, const unsigned grid[3], const unsigned block[3], unsigned dynamic, void *handle, void **params, void **extra, bool cooperative) {
	if (!is_kernel(k)) return INVALID_HANDLE;
	Stream *s = stream_of(handle);
	if (!s) return INVALID_HANDLE;
	static const unsigned max_grid[3] = {2147483647, 65535, 65535}, max_block[3] = {1024, 1024, 64};
	for (int i = 0; i < 3; i++)
		if (!grid[i] || grid[i] > max_grid[i] || !block[i] || block[i] > max_block[i]) {
			say("launch of %s: grid (%u,%u,%u), block (%u,%u,%u)", k->name.c_str(), grid[0], grid[1], grid[2], block[0], block[1], block[2]);
			return INVALID_VALUE;
		}
	unsigned threads = block[0] * block[1] * block[2];
	if (threads > 1024) return INVALID_VALUE;
	if ((int)dynamic > k->max_dynamic) {
		say("launch of %s: %u bytes of dynamic shared memory, %d are allowed", k->name.c_str(), dynamic, k->max_dynamic);
		return INVALID_VALUE;
	}
	if ((int)threads > k->threads) {
		say("launch of %s: %u threads, its launch bounds are %d", k->name.c_str(), threads, k->threads);
		return LAUNCH_OUT_OF_RESOURCES;
	}
	Launch l = {k, {grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, dynamic, {}, cooperative, current->device, compute_capability()};
	if (cooperative) {
		unsigned long long blocks = (unsigned long long)grid[0] * grid[1] * grid[2];
		unsigned long long room = (unsigned long long)blocks_per_sm(k, threads, dynamic) * multiprocessors();
		if (blocks > room) {
			say("cooperative launch of %s: %llu blocks, %llu have room", k->name.c_str(), blocks, room);
			return COOPERATIVE_LAUNCH_TOO_LARGE;
		}
	}
	const char *args = params ? (const char *)params[0] : 0;
	for (int i = 0; !params && extra && extra[i]; i += 2) {
		if ((uintptr_t)extra[i] == 1) args = (const char *)extra[i + 1];
		if ((uintptr_t)extra[i] == 2 && *(size_t *)extra[i + 1] != k->args_bytes) {
			say("launch of %s: %zu bytes of arguments, it takes %zu", k->name.c_str(), *(size_t *)extra[i + 1], k->args_bytes);
			return INVALID_VALUE;
		}
	}
	if (!args) return INVALID_VALUE;
	l.args.assign(args, args + k->args_bytes);
	return submit(s, [l] { return foreign(l) ? EMU_ILLEGAL_ADDRESS : run_launch(l); }, l.device);
}

API int cuLaunchKernel(Kernel *k, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned dynamic, void *stream, void **params, void **extra) {
	ENTER("cuLaunchKernel", NEEDS_CONTEXT);
	unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
	return launch(k, grid, block, dynamic, stream, params, extra, false);
}

API int cuLaunchCooperativeKernel(Kernel *k, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned dynamic, void *stream, void **params) {
	ENTER("cuLaunchCooperativeKernel", NEEDS_CONTEXT);
	unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
	return launch(k, grid, block, dynamic, stream, params, 0, true);
}

// Memory.

API int cuMemGetInfo_v2(size_t *free, size_t *total) {
	ENTER("cuMemGetInfo_v2", NEEDS_CONTEXT);
	*total = total_memory();
	*free = *total > current->used ? *total - current->used : 0;
	return 0;
}

API int cuMemAlloc_v2(void **p, size_t bytes) {
	ENTER("cuMemAlloc_v2", NEEDS_CONTEXT | NOT_IN_CAPTURE);
	if (bytes == 0) return INVALID_VALUE;
	if (bytes > total_memory() || current->used + bytes > total_memory()) return OUT_OF_MEMORY;
	*p = allocate(bytes, current->device);
	if (!*p) return OUT_OF_MEMORY;
	current->used += bytes;
	return 0;
}

API int cuMemFree_v2(void *p) {
	ENTER("cuMemFree_v2", NEEDS_CONTEXT | NOT_IN_CAPTURE);
	if (!p) return 0;
	drain();
	const Allocation *a = allocation_of((uintptr_t)p, 0);
	size_t bytes = a ? a->bytes : 0;
	int device = a ? a->device : 0;
	int code = release(p, 0);
	if (code == INVALID_VALUE) {
		say("cuMemFree of %s", describe_address((uintptr_t)p).c_str());
		return code;
	}
	contexts[device].used -= bytes;
	if (code) current->error = code;
	return code;
}

API int cuMemHostAlloc(void **p, size_t bytes, unsigned flags) {
	ENTER("cuMemHostAlloc", NEEDS_CONTEXT | NOT_IN_CAPTURE);
	if (bytes == 0) return INVALID_VALUE;
	*p = allocate(bytes, -1);
	return *p ? 0 : OUT_OF_MEMORY;
}
API int cuMemAllocHost_v2(void **p, size_t bytes) { return cuMemHostAlloc(p, bytes, 0); }

API int cuMemFreeHost(void *p) {
	ENTER("cuMemFreeHost", NEEDS_CONTEXT | NOT_IN_CAPTURE);
	drain();
	int code = release(p, -1);
	if (code == EMU_ILLEGAL_ADDRESS) current->error = code;
	return code;
}

API int cuMemHostGetDevicePointer_v2(void **device, void *host, unsigned flags) {
	ENTER("cuMemHostGetDevicePointer_v2", NEEDS_CONTEXT);
	const Allocation *a = allocation_of((uintptr_t)host, 0);
	if (!a || a->device >= 0) return INVALID_VALUE;
	*device = host;
	return 0;
}

