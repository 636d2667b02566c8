// Streams, events, copies, captures and graphs.
//
// A stream runs what it is given at once. With EMU_LAZY=1 all streams wait
// until something waits for them, in the order of submission: a host that
// reads results, or writes over a source, before it has synchronised sees that.
#include "driver.h"
#include <deque>
#include <pthread.h>
#include <set>
#include <string.h>

static std::set<Stream *> streams;
static std::set<Event *> events;
static std::set<Capture *> captures;
static std::set<Graph *> graphs, executables;

struct Command { std::function<int()> run; int device; };
static std::deque<Command> waiting;

Stream *stream_of(void *handle) {
	static Stream defaults[max_devices];
	if ((uintptr_t)handle <= 2) { // the default stream, by its three names
		Stream *s = &defaults[current->device];
		s->context = current;
		return s;
	}
	return streams.count((Stream *)handle) ? (Stream *)handle : 0;
}

static void execute(const Command &c) {
	Context *context = context_of(c.device);
	if (context->error) return;
	if (int code = c.run()) context->error = code;
}

void drain() {
	while (!waiting.empty()) {
		Command c = std::move(waiting.front());
		waiting.pop_front();
		execute(c);
	}
}

// submit gives a stream something to do. Errors of running it are the
// context's: the next call has them.
int submit(Stream *s, std::function<int()> run, int device) {
	if (s->capture) {
		if (s->capture->invalid) return CAPTURE_INVALIDATED;
		s->capture->graph->nodes.push_back({run});
		return 0;
	}
	Command c = {run, device};
	if (!environment("EMU_LAZY", 0)) execute(c);
	else waiting.push_back(c);
	return 0;
}

bool any_capture_forbids() {
	for (Capture *c : captures)
		if (c->mode == 0 || (c->mode == 1 && c->thread == (unsigned long)pthread_self())) return true;
	return false;
}

void invalidate_captures() {
	for (Capture *c : captures) c->invalid = true;
}

API int cuStreamCreate(Stream **s, unsigned flags) {
	ENTER("cuStreamCreate", NEEDS_CONTEXT);
	if (flags > 1) return INVALID_VALUE;
	*s = new Stream{current};
	streams.insert(*s);
	return 0;
}
API int cuStreamCreateWithPriority(Stream **s, unsigned flags, int) { return cuStreamCreate(s, flags); }

#define STREAM_CALL(name, handle) \
	ENTER(name, NEEDS_CONTEXT); \
	Stream *s = stream_of(handle); \
	if (!s) return INVALID_HANDLE

API int cuStreamDestroy_v2(void *handle) {
	STREAM_CALL("cuStreamDestroy_v2", handle);
	drain();
	streams.erase(s);
	delete s;
	return 0;
}

// settled is what a call that waited returns.
static int settled() {
	drain();
	if (!current->error && !check_guards()) current->error = EMU_ILLEGAL_ADDRESS;
	return current->error;
}

API int cuStreamSynchronize(void *handle) {
	STREAM_CALL("cuStreamSynchronize", handle);
	if (s->capture) {
		s->capture->invalid = true;
		return CAPTURE_UNSUPPORTED;
	}
	return settled();
}

API int cuStreamQuery(void *handle) {
	STREAM_CALL("cuStreamQuery", handle);
	if (s->capture) {
		s->capture->invalid = true;
		return CAPTURE_UNSUPPORTED;
	}
	bool ready = waiting.empty();
	drain();
	return current->error ? current->error : ready ? 0 : NOT_READY;
}

// Events.

API int cuEventCreate(Event **e, unsigned flags) {
	ENTER("cuEventCreate", NEEDS_CONTEXT);
	*e = new Event;
	(*e)->timing = !(flags & 2);
	events.insert(*e);
	return 0;
}

#define EVENT_CALL(name) \
	ENTER(name, NEEDS_CONTEXT); \
	if (!events.count(e)) return INVALID_HANDLE

API int cuEventDestroy_v2(Event *e) {
	EVENT_CALL("cuEventDestroy_v2");
	drain();
	events.erase(e);
	delete e;
	return 0;
}

API int cuEventRecord(Event *e, void *handle) {
	EVENT_CALL("cuEventRecord");
	Stream *s = stream_of(handle);
	if (!s) return INVALID_HANDLE;
	e->capture = s->capture;
	if (s->capture) return s->capture->invalid ? CAPTURE_INVALIDATED : 0;
	e->recorded = e->pending = true;
	return submit(s, [e] {
		e->time = emu_clock();
		e->pending = false;
		return 0;
	}, current->device);
}

API int cuEventQuery(Event *e) {
	EVENT_CALL("cuEventQuery");
	if (e->capture) return CAPTURED_EVENT;
	bool ready = !e->pending;
	drain();
	return current->error ? current->error : ready ? 0 : NOT_READY;
}

API int cuEventSynchronize(Event *e) {
	EVENT_CALL("cuEventSynchronize");
	if (e->capture) return CAPTURED_EVENT;
	return settled();
}

API int cuEventElapsedTime(float *ms, Event *from, Event *e) {
	EVENT_CALL("cuEventElapsedTime");
	if (!events.count(from)) return INVALID_HANDLE;
	if (!from->recorded || !e->recorded || !from->timing || !e->timing) return INVALID_HANDLE;
	if (from->pending || e->pending) return NOT_READY;
	*ms = (int64_t)(e->time - from->time) / 1e6f;
	return 0;
}
API int cuEventElapsedTime_v2(float *ms, Event *from, Event *e) { return cuEventElapsedTime(ms, from, e); }

API int cuStreamWaitEvent(void *handle, Event *e, unsigned flags) {
	EVENT_CALL("cuStreamWaitEvent");
	Stream *s = stream_of(handle);
	if (!s) return INVALID_HANDLE;
	if (e->capture && captures.count(e->capture)) s->capture = e->capture; // joins
	return 0; // the order of submission is kept anyway
}

// Copies and fills.

static bool device_range(const char *what, uintptr_t p, size_t n, int &code) {
	if (allocation_of(p, n)) return true;
	say("%s of %zu bytes at %s", what, n, describe_address(p).c_str());
	code = INVALID_VALUE;
	return false;
}

static bool pageable(const void *p, size_t n) { return !allocation_of((uintptr_t)p, n); }

static int copy(const char *name, void *to, const void *from, size_t n, void *handle, bool to_device, bool from_device, bool wait) {
	Stream *s = stream_of(handle);
	if (!s) return INVALID_HANDLE;
	if (n == 0) return 0;
	if (!to || !from) return INVALID_VALUE;
	int code = 0;
	if (to_device && !device_range(name, (uintptr_t)to, n, code)) return code;
	if (from_device && !device_range(name, (uintptr_t)from, n, code)) return code;
	bool staged = !from_device && pageable(from, n), host = !to_device && pageable(to, n);
	if (s->capture && (staged || host || wait)) {
		say("%s of pageable memory while the stream is being captured", name);
		s->capture->invalid = true;
		return CAPTURE_UNSUPPORTED;
	}
	std::vector<char> stage;
	if (staged) stage.assign((const char *)from, (const char *)from + n);
	submit(s, [=, stage = std::move(stage)] {
		memmove(to, staged ? stage.data() : from, n);
		return 0;
	}, current->device);
	if (host || wait) return settled();
	return 0;
}

API int cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t n, void *s) {
	ENTER("cuMemcpyHtoDAsync_v2", NEEDS_CONTEXT);
	return copy("cuMemcpyHtoDAsync", to, from, n, s, true, false, false);
}
API int cuMemcpyDtoHAsync_v2(void *to, const void *from, size_t n, void *s) {
	ENTER("cuMemcpyDtoHAsync_v2", NEEDS_CONTEXT);
	return copy("cuMemcpyDtoHAsync", to, from, n, s, false, true, false);
}
API int cuMemcpyDtoDAsync_v2(void *to, const void *from, size_t n, void *s) {
	ENTER("cuMemcpyDtoDAsync_v2", NEEDS_CONTEXT);
	return copy("cuMemcpyDtoDAsync", to, from, n, s, true, true, false);
}
API int cuMemcpyAsync(void *to, const void *from, size_t n, void *s) {
	ENTER("cuMemcpyAsync", NEEDS_CONTEXT);
	return copy("cuMemcpyAsync", to, from, n, s, false, false, false);
}
API int cuMemcpyPeerAsync(void *to, Context *, const void *from, Context *, size_t n, void *s) {
	ENTER("cuMemcpyPeerAsync", NEEDS_CONTEXT);
	return copy("cuMemcpyPeerAsync", to, from, n, s, true, true, false);
}
API int cuMemcpyHtoD_v2(void *to, const void *from, size_t n) {
	ENTER("cuMemcpyHtoD_v2", NEEDS_CONTEXT | NOT_IN_CAPTURE);
	return copy("cuMemcpyHtoD", to, from, n, 0, true, false, true);
}
API int cuMemcpyDtoH_v2(void *to, const void *from, size_t n) {
	ENTER("cuMemcpyDtoH_v2", NEEDS_CONTEXT | NOT_IN_CAPTURE);
	return copy("cuMemcpyDtoH", to, from, n, 0, false, true, true);
}
API int cuMemcpyDtoD_v2(void *to, const void *from, size_t n) {
	ENTER("cuMemcpyDtoD_v2", NEEDS_CONTEXT | NOT_IN_CAPTURE);
	return copy("cuMemcpyDtoD", to, from, n, 0, true, true, true);
}
API int cuMemcpy(void *to, const void *from, size_t n) {
	ENTER("cuMemcpy", NEEDS_CONTEXT | NOT_IN_CAPTURE);
	return copy("cuMemcpy", to, from, n, 0, false, false, true);
}

template <class T> static int fill(const char *name, void *to, T value, size_t n, void *handle, bool wait) {
	Stream *s = stream_of(handle);
	if (!s) return INVALID_HANDLE;
	if (n == 0) return 0;
	int code = 0;
	if ((uintptr_t)to % sizeof(T) || !device_range(name, (uintptr_t)to, n * sizeof(T), code)) return INVALID_VALUE;
	submit(s, [=] {
		for (size_t i = 0; i < n; i++) ((T *)to)[i] = value;
		return 0;
	}, current->device);
	return wait ? settled() : 0;
}

API int cuMemsetD8Async(void *to, unsigned char v, size_t n, void *s) {
	ENTER("cuMemsetD8Async", NEEDS_CONTEXT);
	return fill<unsigned char>("cuMemsetD8Async", to, v, n, s, false);
}
API int cuMemsetD16Async(void *to, unsigned short v, size_t n, void *s) {
	ENTER("cuMemsetD16Async", NEEDS_CONTEXT);
	return fill<unsigned short>("cuMemsetD16Async", to, v, n, s, false);
}
API int cuMemsetD32Async(void *to, unsigned v, size_t n, void *s) {
	ENTER("cuMemsetD32Async", NEEDS_CONTEXT);
	return fill<unsigned>("cuMemsetD32Async", to, v, n, s, false);
}
API int cuMemsetD8_v2(void *to, unsigned char v, size_t n) {
	ENTER("cuMemsetD8_v2", NEEDS_CONTEXT | NOT_IN_CAPTURE);
	return fill<unsigned char>("cuMemsetD8", to, v, n, 0, true);
}
API int cuMemsetD32_v2(void *to, unsigned v, size_t n) {
	ENTER("cuMemsetD32_v2", NEEDS_CONTEXT | NOT_IN_CAPTURE);
	return fill<unsigned>("cuMemsetD32", to, v, n, 0, true);
}

// Captures and graphs.

API int cuStreamBeginCapture_v2(void *handle, int mode) {
	STREAM_CALL("cuStreamBeginCapture_v2", handle);
	if ((uintptr_t)handle <= 1) return CAPTURE_UNSUPPORTED; // the legacy stream
	if (s->capture) return 401; // ILLEGAL_STATE
	if (mode < 0 || mode > 2) return INVALID_VALUE;
	s->capture = new Capture{new Graph, mode, (unsigned long)pthread_self(), false, s};
	captures.insert(s->capture);
	return 0;
}

API int cuStreamEndCapture(void *handle, Graph **graph) {
	STREAM_CALL("cuStreamEndCapture", handle);
	*graph = 0;
	Capture *c = s->capture;
	if (!c || c->origin != s) return CAPTURE_UNMATCHED;
	for (Stream *other : streams) if (other->capture == c) other->capture = 0;
	s->capture = 0;
	for (Event *e : events) if (e->capture == c) e->capture = 0;
	captures.erase(c);
	int code = c->invalid ? CAPTURE_INVALIDATED : 0;
	if (code) delete c->graph;
	else graphs.insert(*graph = c->graph);
	delete c;
	return code;
}

API int cuStreamIsCapturing(void *handle, int *status) {
	STREAM_CALL("cuStreamIsCapturing", handle);
	*status = !s->capture ? 0 : s->capture->invalid ? 2 : 1;
	return 0;
}

API int cuGraphInstantiateWithFlags(Graph **exec, Graph *graph, unsigned long long flags) {
	ENTER("cuGraphInstantiateWithFlags", NEEDS_CONTEXT);
	if (!graphs.count(graph)) return INVALID_HANDLE;
	executables.insert(*exec = new Graph(*graph));
	return 0;
}

API int cuGraphInstantiate_v2(Graph **exec, Graph *graph, void **node, char *log, size_t n) {
	if (n) *log = 0;
	return cuGraphInstantiateWithFlags(exec, graph, 0);
}

// The third argument is a CUgraphExecUpdateResultInfo: {result, node, node}.
API int cuGraphExecUpdate_v2(Graph *exec, Graph *graph, int *info) {
	ENTER("cuGraphExecUpdate_v2", NEEDS_CONTEXT);
	if (!executables.count(exec) || !graphs.count(graph)) return INVALID_HANDLE;
	*info = exec->nodes.size() == graph->nodes.size() ? 0 : 2; // TOPOLOGY_CHANGED
	if (*info) return 910; // GRAPH_EXEC_UPDATE_FAILURE
	exec->nodes = graph->nodes;
	return 0;
}

API int cuGraphGetNodes(Graph *graph, void **nodes, size_t *n) {
	ENTER("cuGraphGetNodes", NEEDS_CONTEXT);
	if (!graphs.count(graph)) return INVALID_HANDLE;
	if (nodes) return NOT_SUPPORTED;
	*n = graph->nodes.size();
	return 0;
}

API int cuGraphUpload(Graph *exec, void *handle) {
	STREAM_CALL("cuGraphUpload", handle);
	return executables.count(exec) ? 0 : INVALID_HANDLE;
}

API int cuGraphLaunch(Graph *exec, void *handle) {
	STREAM_CALL("cuGraphLaunch", handle);
	if (!executables.count(exec)) return INVALID_HANDLE;
	for (Node &n : exec->nodes)
		if (int code = submit(s, n.run, current->device)) return code;
	return 0;
}

API int cuGraphDestroy(Graph *graph) {
	ENTER("cuGraphDestroy", NEEDS_CONTEXT);
	if (!graphs.erase(graph)) return INVALID_HANDLE;
	delete graph;
	return 0;
}

API int cuGraphExecDestroy(Graph *exec) {
	ENTER("cuGraphExecDestroy", NEEDS_CONTEXT);
	drain();
	if (!executables.erase(exec)) return INVALID_HANDLE;
	delete exec;
	return 0;
}
