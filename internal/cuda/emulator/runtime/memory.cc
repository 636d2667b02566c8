// Memory of the devices and pinned memory of the host. An allocation ends at
// the border of a page that nothing can touch, and starts behind another one;
// what lies between is filled and looked at again when it is freed and when
// the host waits for the device. Fresh memory is NaN in every format (0xff).
// Freed memory stays unreadable for a while, so that late use of it shows.
#include "emulator.h"
#include <deque>
#include <map>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static const size_t page = 4096, align = 256;
static const size_t guard = 16 * page;
static const unsigned char filling = 0xff;

static std::map<uintptr_t, Allocation> allocations; // by end of the map
static std::deque<uintptr_t> late;                  // freed ones, oldest first

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

void *allocate(size_t bytes, int device) {
	size_t body = round_up(round_up(bytes, align), page), total = body + 2 * guard;
	char *map = (char *)mmap(0, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED) return 0;
	if (mprotect(map + guard, body, PROT_READ | PROT_WRITE)) {
		munmap(map, total);
		return 0;
	}
	memset(map + guard, filling, body);
	char *start = map + guard + body - round_up(bytes, align);
	Allocation a = {(uintptr_t)start, bytes, (uintptr_t)map, total, device, false};
	allocations[a.map + total] = a;
	return start;
}

static Allocation *find(uintptr_t p) {
	auto i = allocations.upper_bound(p);
	return i != allocations.end() && i->second.map <= p ? &i->second : 0;
}

const Allocation *allocation_at(uintptr_t p) { return find(p); }

const Allocation *allocation_of(uintptr_t p, size_t bytes) {
	const Allocation *a = find(p);
	if (!a || a->freed || p < a->start || p - a->start > a->bytes || bytes > a->bytes - (p - a->start)) return 0;
	return a;
}

static const char *owner(const Allocation &a, char *text) {
	if (a.device < 0) return "of the host";
	sprintf(text, "of device %d", a.device);
	return text;
}

std::string describe_address(uintptr_t p) {
	char text[300], name[40];
	const Allocation *a = find(p);
	if (!a) {
		snprintf(text, sizeof text, "%#lx, which is in no allocation", (unsigned long)p);
	} else if (a->freed) {
		snprintf(text, sizeof text, "%#lx, %ld bytes into an allocation of %zu bytes %s that is freed", (unsigned long)p, (long)(p - a->start), a->bytes, owner(*a, name));
	} else if (p < a->start) {
		snprintf(text, sizeof text, "%#lx, %ld bytes before an allocation of %zu bytes %s", (unsigned long)p, (long)(a->start - p), a->bytes, owner(*a, name));
	} else {
		snprintf(text, sizeof text, "%#lx, %ld bytes past the end of an allocation of %zu bytes %s", (unsigned long)p, (long)(p - a->start - a->bytes), a->bytes, owner(*a, name));
	}
	return text;
}

static bool intact(const Allocation &a) {
	for (uintptr_t p = a.map + guard; p < a.start; p++)
		if (*(unsigned char *)p != filling) {
			say("something was written %ld bytes before an allocation of %zu bytes", (long)(a.start - p), a.bytes);
			return false;
		}
	for (uintptr_t p = a.start + a.bytes; p < a.map + a.map_bytes - guard; p++)
		if (*(unsigned char *)p != filling) {
			say("something was written %ld bytes past the end of an allocation of %zu bytes", (long)(p - a.start - a.bytes), a.bytes);
			return false;
		}
	return true;
}

bool check_guards() {
	for (auto &i : allocations)
		if (!i.second.freed && !intact(i.second)) return false;
	return true;
}

static void drop(Allocation &a) {
	a.freed = true;
	// A new map in place of the old one gives its pages back.
	mmap((void *)a.map, a.map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	late.push_back(a.map + a.map_bytes);
	if (late.size() > 1000) {
		Allocation &old = allocations[late.front()];
		munmap((void *)old.map, old.map_bytes);
		allocations.erase(late.front());
		late.pop_front();
	}
}

int release(void *p, int device) {
	Allocation *a = find((uintptr_t)p);
	if (!a || a->freed || a->start != (uintptr_t)p || (device < 0) != (a->device < 0)) return 1;
	bool ok = intact(*a);
	drop(*a);
	return ok ? 0 : EMU_ILLEGAL_ADDRESS;
}

size_t release_all(int device) {
	size_t n = 0;
	std::vector<uintptr_t> mine;
	for (auto &i : allocations)
		if (!i.second.freed && i.second.device == device) mine.push_back(i.second.start);
	for (uintptr_t p : mine) {
		drop(*find(p));
		n++;
	}
	return n;
}
