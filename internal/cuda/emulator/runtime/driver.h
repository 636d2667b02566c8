// What the driver's functions share: handles and the rules that every call
// obeys.
#pragma once
#include "emulator.h"
#include <functional>
#include <mutex>

#define API extern "C" __attribute__((visibility("default")))

enum {
	SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101,
	INVALID_IMAGE = 200, INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600,
	LAUNCH_OUT_OF_RESOURCES = 701, COOPERATIVE_LAUNCH_TOO_LARGE = 720, NOT_SUPPORTED = 801,
	CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901, CAPTURE_UNMATCHED = 903, CAPTURE_UNJOINED = 904, CAPTURED_EVENT = 907,
};

static const int max_devices = 8;

struct Context {
	int device;
	int users = 0;  // retained so often
	int error = 0;  // sticky: what every later call returns
	size_t used = 0; // bytes of device memory
};

struct Node { std::function<int()> run; };

struct Graph { std::vector<Node> nodes; };

struct Capture {
	Graph *graph;
	int mode; // 0 global, 1 of this thread, 2 relaxed
	unsigned long thread;
	bool invalid;
	struct Stream *origin;
};

struct Stream {
	Context *context;
	Capture *capture = 0;
};

struct Event {
	uint64_t time = 0;  // ns
	bool recorded = false, pending = false, timing = true;
	Capture *capture = 0; // recorded while capturing
};

// What a call needs before it may run.
enum { NEEDS_INIT = 1, NEEDS_CONTEXT = 2, NOT_IN_CAPTURE = 4 };

// An Entry holds the driver's lock through a call; code says why the call may
// not go on.
struct Entry {
	std::unique_lock<std::recursive_mutex> lock;
	int code;
	Entry(const char *name, int needs);
};

#define ENTER(name, needs) Entry entry(name, needs); if (entry.code) return entry.code

extern __thread Context *current; // of the calling thread
Context *context_of(int device);
Stream *stream_of(void *handle); // 0: no such stream
int submit(Stream *s, std::function<int()> run, int device);
void drain(); // runs what waits (EMU_LAZY)
bool any_capture_forbids();
void invalidate_captures();
int compute_capability(); // 80
int shared_optin();
int shared_per_sm();
