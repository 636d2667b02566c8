// The kernels: each kernels/*.cu is a shared object beside this library, whose
// constructors register what it holds. Its thread-local storage is its static
// shared memory (SHARED), one copy for each thread of the system that runs
// blocks.
#include "emulator.h"
#include <algorithm>
#include <deque>
#include <dirent.h>
#include <dlfcn.h>
#include <link.h>
#include <map>

static std::deque<Kernel> kernels;
static std::map<std::string, Kernel *> by_name;
static std::vector<std::string> modules; // paths
static std::vector<size_t> shared_bytes;
static std::vector<void (*)()> touch; // makes a module's storage for the calling thread

extern "C" __attribute__((visibility("default"))) void emu_register(const char *name, void (*entry)(const void *), unsigned long args_bytes, int threads, int blocks, const char *file) {
	Kernel k;
	k.name = name, k.file = file, k.entry = entry, k.args_bytes = args_bytes;
	k.threads = threads, k.blocks = blocks, k.module = modules.size();
	if (by_name.count(name)) say("kernel %s is defined twice: in %s and in %s", name, by_name[name]->file.c_str(), file);
	kernels.push_back(k);
	by_name[name] = &kernels.back();
}

static std::string folder() {
	Dl_info info;
	if (!dladdr((void *)load_kernels, &info)) return ".";
	std::string path = info.dli_fname;
	size_t slash = path.rfind('/');
	return slash == std::string::npos ? "." : path.substr(0, slash);
}

struct Search { const std::string *path; Static found; size_t bytes; };

static int match(dl_phdr_info *info, size_t, void *data) {
	Search *s = (Search *)data;
	if (*s->path != info->dlpi_name) return 0;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_TLS) {
			s->bytes = info->dlpi_phdr[i].p_memsz;
			s->found.start = (char *)info->dlpi_tls_data;
			s->found.bytes = s->bytes;
		}
	return 1;
}

void load_kernels() {
	std::string dir = folder();
	std::vector<std::string> names;
	if (DIR *d = opendir(dir.c_str())) {
		while (dirent *e = readdir(d)) {
			std::string name = e->d_name;
			if (name.size() > 6 && name.substr(name.size() - 6) == ".cu.so") names.push_back(name);
		}
		closedir(d);
	}
	std::sort(names.begin(), names.end());
	for (auto &name : names) {
		std::string path = dir + "/" + name;
		size_t before = kernels.size();
		void *lib = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
		if (!lib || kernels.size() == before) {
			if (!lib) say("%s", dlerror());
			continue;
		}
		modules.push_back(path);
		touch.push_back((void (*)())dlsym(lib, "emu_touch"));
		Search s = {&modules.back(), {0, 0}, 0};
		dl_iterate_phdr(match, &s);
		shared_bytes.push_back(s.bytes);
	}
}

Kernel *find_kernel(const char *name) {
	auto i = by_name.find(name);
	return i == by_name.end() ? 0 : i->second;
}

Kernel *kernel_at(size_t i) { return i < kernels.size() ? &kernels[i] : 0; }

size_t static_shared_bytes(int module) { return shared_bytes[module]; }

Static static_shared(int module) {
	touch[module]();
	Search s = {&modules[module], {0, 0}, 0};
	if (shared_bytes[module]) dl_iterate_phdr(match, &s);
	return s.found;
}
