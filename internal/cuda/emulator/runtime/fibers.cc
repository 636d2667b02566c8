// Running kernels. A block runs on one thread of the system, its threads as
// fibers on it: each runs until it waits for others, then the next one has its
// turn. So barriers and exchanges cost a switch of stacks (≈5 ns).
//
// Blocks with an odd number (and every other launch) run their warps and lanes
// backwards, so that what a missing barrier would leave to chance goes wrong
// for one of the two orders. EMU_ORDER=forward or backward holds to one.
#include "emulator.h"
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define EXPORT extern "C" __attribute__((visibility("default")))

__attribute__((visibility("default"))) __thread emu_thread *emu_self = 0;

long environment(const char *name, long otherwise) {
	const char *s = getenv(name);
	return s && *s ? strtol(s, 0, 0) : otherwise;
}

static std::mutex saying;
static char fault_text[1024];

void say(const char *format, ...) {
	char text[900];
	va_list v;
	va_start(v, format);
	vsnprintf(text, sizeof text, format, v);
	va_end(v);
	std::lock_guard<std::mutex> lock(saying);
	snprintf(fault_text, sizeof fault_text, "%s", text);
	if (!environment("EMU_QUIET", 0)) fprintf(stderr, "emulated GPU: %s\n", text);
}

const char *last_fault() { return fault_text; }

// Switching stacks.

#ifdef __x86_64__
struct Registers { void *sp; };
asm(R"(
.text
.type emu_switch,@function
emu_switch:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq (%rsi), %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
.size emu_switch,.-emu_switch
)");
extern "C" void emu_switch(Registers *from, Registers *to);
static void prepare(Registers &c, char *stack, size_t bytes, void (*start)()) {
	void **sp = (void **)(stack + bytes);
	*--sp = 0;               // where start would return to
	*--sp = (void *)start;   // rsp+8 is a multiple of 16 on entry
	for (int i = 0; i < 6; i++) *--sp = 0;
	c.sp = sp;
}
#else
struct Registers { ucontext_t u; };
static void emu_switch(Registers *from, Registers *to) { swapcontext(&from->u, &to->u); }
static void prepare(Registers &c, char *stack, size_t bytes, void (*start)()) {
	getcontext(&c.u);
	c.u.uc_stack.ss_sp = stack, c.u.uc_stack.ss_size = bytes, c.u.uc_link = 0;
	makecontext(&c.u, start, 0);
}
#endif

static const size_t stack_bytes = 128 << 10; // a guard page included
static const int max_threads = 1024;
static const size_t max_shared = 256 << 10;

enum State { READY, AT_BARRIER, IN_WARP, DONE };
static const char *const state_names[] = {"runs", "waits at __syncthreads", "waits for its warp", "has ended"};

struct Copy { char *to; const char *from; unsigned bytes; };

struct Warp;

struct Fiber : emu_thread {
	Registers context;
	State state;
	Warp *warp;
	const void *in;
	void *out;
	const char *waits_for;  // name of the warp's operation
	unsigned waits_mask;
	std::vector<Copy> copies; // asked for
	std::vector<size_t> groups; // ends of committed groups in copies
};

// A Meeting is an operation that lanes of a warp wait in.
struct Meeting {
	unsigned mask, arrived;
	emu_operation op;
	int arg;
};

struct Warp {
	Fiber *fibers; // its 32
	unsigned ready, ended, lanes; // masks
	Meeting meetings[32];
	int n;
};

struct Run {
	const Launch *launch;
	unsigned long long blocks;
	std::atomic<unsigned long long> next{0};
	std::atomic<int> error{0};
	std::atomic<int> finished{0};
	int workers;
	unsigned number; // of the launch
	int capability;
	char order; // 'f', 'b' or 0
};

struct Worker {
	Fiber *fibers = 0;
	char *stacks = 0, *shared = 0;
	Registers scheduler;
	sigjmp_buf escape;
	Run *run = 0;
	Fiber *current = 0;
	Warp warps[32];
	int threads, alive, at_barrier, form, predicates, agreed;
	int paused; // fibers that yielded in this pass
	bool backward; // the order of lanes and warps
	emu_uint3 block;
	std::thread thread;
	std::condition_variable wake;
};

static __thread Worker *self __attribute__((tls_model("initial-exec")));

static const char *where(char *text, size_t n) {
	Worker *w = self;
	const emu_uint3 &b = w->block;
	int k = snprintf(text, n, "kernel %s, block (%u,%u,%u)", w->run->launch->kernel->name.c_str(), b.x, b.y, b.z);
	if (Fiber *f = w->current) snprintf(text + k, n - k, ", thread (%u,%u,%u)", f->thread.x, f->thread.y, f->thread.z);
	return text;
}

// fail ends the launch: the first error is its result.
static void fail(int code, const char *message) {
	int none = 0;
	char text[160];
	if (self->run->error.compare_exchange_strong(none, code)) say("%s: %s", where(text, sizeof text), message);
	siglongjmp(self->escape, 1);
}

EXPORT void emu_fault(int code, const char *format, ...) {
	char text[512];
	va_list v;
	va_start(v, format);
	vsnprintf(text, sizeof text, format, v);
	va_end(v);
	fail(code, text);
	abort();
}

static void yield() {
	Worker *w = self;
	emu_switch(&w->current->context, &w->scheduler);
	if (w->run->error) siglongjmp(w->escape, 1);
}

static int first(unsigned lanes, bool backward) { return backward ? 31 - __builtin_clz(lanes) : __builtin_ctz(lanes); }

// wait gives the turn to the next lane of the warp that can go on.
static void wait() {
	Worker *w = self;
	Fiber *f = w->current;
	unsigned ready = f->warp->ready;
	if (!ready) return yield();
	unsigned below = (1u << f->lane) - 1, next = ready & (w->backward ? below : ~below);
	Fiber *g = &f->warp->fibers[first(next ? next : ready, w->backward)];
	w->current = g;
	emu_self = g;
	emu_switch(&f->context, &g->context);
	if (w->run->error) siglongjmp(w->escape, 1);
}

static void finish_meeting(Warp &wp, int i) {
	Meeting m = wp.meetings[i];
	wp.meetings[i] = wp.meetings[--wp.n];
	if (m.op) {
		const void *in[32];
		void *out[32];
		for (int l = 0; l < 32; l++) {
			bool here = m.arrived >> l & 1;
			in[l] = here ? wp.fibers[l].in : 0;
			out[l] = here ? wp.fibers[l].out : 0;
		}
		m.op(m.arrived, in, out, m.arg);
	}
	wp.ready |= m.arrived;
	for (unsigned a = m.arrived; a; a &= a - 1) wp.fibers[__builtin_ctz(a)].state = READY;
}

EXPORT void emu_collective(const char *name, emu_operation op, unsigned mask, const void *in, void *out, int arg) {
	Worker *w = self;
	Fiber *f = w->current;
	Warp &wp = *f->warp;
	unsigned lane = 1u << f->lane;
	if (!(mask & lane)) emu_fault(EMU_ILLEGAL_INSTRUCTION, "%s with mask %08x, in which the lane itself (%u) is not", name, mask, f->lane);
	f->in = in, f->out = out, f->waits_for = name, f->waits_mask = mask;
	int i = 0;
	while (i < wp.n && wp.meetings[i].mask != mask) i++;
	if (i == wp.n) wp.meetings[wp.n++] = Meeting{mask, 0, op, arg};
	Meeting &m = wp.meetings[i];
	if (m.op != op || m.arg != arg)
		emu_fault(EMU_ILLEGAL_INSTRUCTION, "%s meets %s of lane %d", name, wp.fibers[__builtin_ctz(m.arrived)].waits_for, __builtin_ctz(m.arrived));
	m.arrived |= lane;
	if ((mask & wp.lanes & ~wp.ended) == m.arrived) return finish_meeting(wp, i);
	wp.ready &= ~lane;
	f->state = IN_WARP;
	wait();
}

EXPORT int emu_syncthreads(int form, int predicate) {
	Worker *w = self;
	Fiber *f = w->current;
	if (w->at_barrier == 0) w->form = form, w->predicates = 0;
	if (w->form != form) emu_fault(EMU_LAUNCH_FAILED, "threads meet in different forms of __syncthreads");
	w->at_barrier++;
	w->predicates += predicate != 0;
	f->state = AT_BARRIER;
	f->warp->ready &= ~(1u << f->lane);
	wait();
	return w->agreed;
}

EXPORT void emu_pause() {
	self->paused++;
	// The lane stays ready, yet has its next turn after all others.
	yield();
}

EXPORT emu_u64 emu_clock() {
	timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

EXPORT int emu_capability() { return self->run->capability; }

// Asynchronous copies happen as late as they may: when they are waited for.

EXPORT void emu_async_copy(void *shared, const void *global, unsigned bytes) {
	if ((uintptr_t)shared % bytes || (uintptr_t)global % bytes)
		emu_fault(EMU_MISALIGNED, "cp_async%u from %p to %p: not aligned", bytes, global, shared);
	self->current->copies.push_back({(char *)shared, (const char *)global, bytes});
}

EXPORT void emu_async_commit() {
	Fiber *f = self->current;
	f->groups.push_back(f->copies.size());
}

EXPORT void emu_async_wait(int groups) {
	Fiber *f = self->current;
	int n = (int)f->groups.size() - groups;
	if (n <= 0) return;
	size_t end = f->groups[n - 1];
	for (size_t i = 0; i < end; i++) memcpy(f->copies[i].to, f->copies[i].from, f->copies[i].bytes);
	f->copies.erase(f->copies.begin(), f->copies.begin() + end);
	f->groups.erase(f->groups.begin(), f->groups.begin() + n);
	for (auto &g : f->groups) g -= end;
}

// Kernels are compiled with checks (g++ -fsanitize=alignment,bounds,
// shift-exponent) that call these; the records are those of GCC's ubsan.cc.
// The processor of the host forgives each of them, or does something else than
// the card: a shift by 32 is 0 there and no shift here.

struct Place { const char *file; unsigned line, column; };
struct Type { unsigned short kind, info; char name[1]; };
struct Mismatch { Place place; const Type *type; unsigned char log_alignment, access; };
struct Bounds { Place place; const Type *array, *index; };

static const char *base_name(const char *path) {
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

EXPORT void __ubsan_handle_type_mismatch_v1_abort(Mismatch *m, uintptr_t p) {
	emu_fault(EMU_MISALIGNED, "%s:%u: misaligned address %#lx of %s, which is aligned to %d bytes", base_name(m->place.file), m->place.line, (unsigned long)p, m->type->name, 1 << m->log_alignment);
}
EXPORT void __ubsan_handle_out_of_bounds_abort(Bounds *b, uintptr_t index) {
	emu_fault(EMU_ILLEGAL_ADDRESS, "%s:%u: index %ld is outside of %s", base_name(b->place.file), b->place.line, (long)index, b->array->name);
}
EXPORT void __ubsan_handle_shift_out_of_bounds_abort(Bounds *b, uintptr_t, uintptr_t by) {
	emu_fault(EMU_LAUNCH_FAILED, "%s:%u: shift of %s by %ld", base_name(b->place.file), b->place.line, b->array->name, (long)by);
}

// The scheduler.

static void fiber_main() {
	Worker *w = self;
	Fiber *f = w->current;
	w->run->launch->kernel->entry(w->run->launch->args.data());
	Warp &wp = *f->warp;
	f->state = DONE;
	w->alive--;
	wp.ended |= 1u << f->lane;
	wp.ready &= ~(1u << f->lane);
	for (int i = 0; i < wp.n; i++)
		if ((wp.meetings[i].mask & wp.lanes & ~wp.ended) == wp.meetings[i].arrived) {
			finish_meeting(wp, i);
			i = -1;
		}
	wait();
	abort();
}

static void turn(Worker *w, Fiber *f) {
	w->current = f;
	emu_self = f;
	emu_switch(&w->scheduler, &f->context);
}

static void report_deadlock(Worker *w) {
	char text[600];
	int n = 0, shown = 0;
	w->current = 0;
	n += snprintf(text + n, sizeof text - n, "deadlock: ");
	State last = READY;
	for (int i = 0; i < w->threads && shown < 6; i++) {
		Fiber &f = w->fibers[i];
		if (i > 0 && f.state == last) continue;
		last = f.state;
		n += snprintf(text + n, sizeof text - n, "%sfrom thread %d on: %s", shown++ ? "; " : "", i, state_names[f.state]);
		if (f.state == IN_WARP) n += snprintf(text + n, sizeof text - n, " (%s, mask %08x)", f.waits_for, f.waits_mask);
	}
	fail(EMU_LAUNCH_FAILED, text);
}

static void release_barrier(Worker *w) {
	if (w->alive != w->threads) {
		char text[200];
		w->current = 0;
		int ended = 0;
		while (w->fibers[ended].state != DONE) ended++;
		snprintf(text, sizeof text, "deadlock: %d threads wait at __syncthreads, %d have ended (thread %d is the first)", w->at_barrier, w->threads - w->alive, ended);
		fail(EMU_LAUNCH_FAILED, text);
	}
	w->agreed = w->form == EMU_SYNC_AND ? w->predicates == w->at_barrier : w->form == EMU_SYNC_OR ? w->predicates > 0 : w->predicates;
	w->at_barrier = 0;
	for (int i = 0; i < w->threads; i++) w->fibers[i].state = READY;
	for (int i = 0; i * 32 < w->threads; i++) w->warps[i].ready = w->warps[i].lanes;
}

// pass gives each warp turns until its lanes wait for other warps.
static bool pass(Worker *w) {
	int warps = (w->threads + 31) / 32;
	bool progress = false;
	for (int i = 0; i < warps; i++) {
		int warp = w->backward ? warps - 1 - i : i;
		Warp &wp = w->warps[warp];
		int pauses = w->paused;
		while (wp.ready && w->paused == pauses)
			for (unsigned turns = wp.ready; turns; turns &= wp.ready) {
				int lane = first(turns, w->backward);
				turns &= ~(1u << lane);
				turn(w, &wp.fibers[lane]);
				progress = true;
			}
	}
	return progress;
}

static void run_block(Worker *w, unsigned long long number) {
	const Launch &l = *w->run->launch;
	emu_uint3 grid = {l.grid[0], l.grid[1], l.grid[2]}, dim = {l.block[0], l.block[1], l.block[2]};
	emu_uint3 block = {(unsigned)(number % grid.x), (unsigned)(number / grid.x % grid.y), (unsigned)(number / grid.x / grid.y)};
	w->threads = w->alive = dim.x * dim.y * dim.z;
	w->block = block;
	w->at_barrier = w->paused = 0;
	w->current = 0;
	char *dynamic = w->shared + max_shared - (l.dynamic + 15) / 16 * 16;
	for (int i = 0; i < 32; i++) {
		int left = w->threads - i * 32;
		unsigned lanes = left <= 0 ? 0 : left >= 32 ? 0xffffffff : (1u << left) - 1;
		w->warps[i].ready = w->warps[i].lanes = lanes;
		w->warps[i].ended = w->warps[i].n = 0;
		w->warps[i].fibers = w->fibers + i * 32;
	}
	unsigned x = 0, y = 0, z = 0;
	for (int i = 0; i < w->threads; i++) {
		Fiber &f = w->fibers[i];
		f.thread = {x, y, z};
		if (++x == dim.x) { x = 0; if (++y == dim.y) y = 0, z++; }
		f.block = block, f.block_dim = dim, f.grid_dim = grid;
		f.lane = i % 32;
		f.dynamic = dynamic;
		f.state = READY;
		f.warp = &w->warps[i / 32];
		f.copies.clear(), f.groups.clear();
		prepare(f.context, w->stacks + i * stack_bytes, stack_bytes, fiber_main);
	}
	memset(dynamic, 0xff, w->shared + max_shared - dynamic);
	if (static_shared_bytes(l.kernel->module)) {
		Static s = static_shared(l.kernel->module);
		memset(s.start, 0xff, s.bytes);
	}
	char order = w->run->order;
	w->backward = order ? order == 'b' : (number + w->run->number) & 1;
	if (sigsetjmp(w->escape, 0)) return;
	while (w->alive) {
		w->paused = 0;
		bool progress = pass(w);
		if (w->run->error) return;
		if (w->alive && w->at_barrier == w->alive) release_barrier(w);
		else if (!progress && w->alive) report_deadlock(w);
		else if (w->paused) sched_yield();
	}
}

// Faults of the processor.

static struct sigaction before[64];

static void on_signal(int number, siginfo_t *info, void *context) {
	Worker *w = self;
	if (!w || !w->run) { // not ours
		struct sigaction &b = before[number];
		if (b.sa_flags & SA_SIGINFO) b.sa_sigaction(number, info, context);
		else if (b.sa_handler != SIG_DFL && b.sa_handler != SIG_IGN) b.sa_handler(number);
		else signal(number, SIG_DFL);
		return;
	}
	uintptr_t p = (uintptr_t)info->si_addr;
	char text[400];
	int code = EMU_ILLEGAL_ADDRESS;
	if (number == SIGFPE) {
		code = EMU_LAUNCH_FAILED;
		snprintf(text, sizeof text, "integer division by zero");
	} else if (number == SIGILL) {
		code = EMU_ILLEGAL_INSTRUCTION;
		snprintf(text, sizeof text, "illegal instruction");
	} else if (w->current && p >= (uintptr_t)w->stacks && p < (uintptr_t)w->stacks + stack_bytes * max_threads) {
		snprintf(text, sizeof text, "the thread's stack (%zu KB) is full", stack_bytes >> 10);
	} else if (p >= (uintptr_t)w->shared + max_shared && p < (uintptr_t)w->shared + max_shared + (1 << 20)) {
		snprintf(text, sizeof text, "illegal address: %zu bytes past the end of the block's %zu bytes of dynamic shared memory", (size_t)(p - (uintptr_t)w->shared - max_shared), w->run->launch->dynamic);
	} else {
		snprintf(text, sizeof text, "illegal address: %s", describe_address(p).c_str());
	}
	fail(code, text);
}

static void catch_faults() {
	struct sigaction a = {};
	a.sa_sigaction = on_signal;
	a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART;
	sigfillset(&a.sa_mask);
	for (int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigdelset(&a.sa_mask, s);
	for (int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
		struct sigaction now;
		sigaction(s, 0, &now);
		if (now.sa_sigaction == on_signal) continue; // Go may have put its own back
		before[s] = now;
		sigaction(s, &a, 0);
	}
}

// The pool.

static std::mutex pool;
static std::condition_variable all_done;
static std::vector<Worker *> workers;

static void map_memory(Worker *w) {
	w->fibers = new Fiber[max_threads];
	w->stacks = (char *)mmap(0, stack_bytes * max_threads, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (int i = 0; i < max_threads; i++) mprotect(w->stacks + i * stack_bytes, 4096, PROT_NONE);
	w->shared = (char *)mmap(0, max_shared + (1 << 20), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	mprotect(w->shared, max_shared, PROT_READ | PROT_WRITE);
}

static void work(Worker *w) {
	sigset_t all;
	sigfillset(&all);
	for (int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigdelset(&all, s);
	pthread_sigmask(SIG_SETMASK, &all, 0);
	stack_t alternate = {};
	alternate.ss_size = 64 << 10;
	alternate.ss_sp = malloc(alternate.ss_size);
	sigaltstack(&alternate, 0);
	map_memory(w);
	self = w;
	std::unique_lock<std::mutex> lock(pool);
	for (;;) {
		w->wake.wait(lock, [&] { return w->run; });
		Run *r = w->run;
		lock.unlock();
		for (unsigned long long b; !r->error && (b = r->next++) < r->blocks;) run_block(w, b);
		lock.lock();
		w->run = 0;
		if (++r->finished == r->workers) all_done.notify_all();
	}
}

int run_launch(const Launch &l) {
	static unsigned launches = 0;
	long cores = environment("EMU_THREADS", sysconf(_SC_NPROCESSORS_ONLN));
	long limit = environment("EMU_TIMEOUT", 120); // seconds
	catch_faults();
	Run r;
	r.launch = &l;
	r.blocks = (unsigned long long)l.grid[0] * l.grid[1] * l.grid[2];
	r.number = launches++;
	r.capability = l.capability;
	const char *order = getenv("EMU_ORDER");
	r.order = order ? order[0] : 0;
	unsigned long long n = l.cooperative ? r.blocks : (unsigned long long)cores;
	r.workers = n < r.blocks ? n : r.blocks;
	std::unique_lock<std::mutex> lock(pool);
	while ((int)workers.size() < r.workers) {
		Worker *w = new Worker;
		workers.push_back(w);
		w->thread = std::thread(work, w);
		w->thread.detach();
	}
	for (int i = 0; i < r.workers; i++) {
		workers[i]->run = &r;
		workers[i]->wake.notify_one();
	}
	auto done = [&] { return r.finished == r.workers; };
	if (!all_done.wait_for(lock, std::chrono::seconds(limit), done)) {
		int none = 0;
		if (r.error.compare_exchange_strong(none, EMU_TIMEOUT))
			say("kernel %s has run for %ld s (EMU_TIMEOUT): it is stopped where it waits next", l.kernel->name.c_str(), limit);
		all_done.wait(lock, done);
	}
	return r.error;
}
