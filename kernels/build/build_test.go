//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The committed images say which sources they were made of.
func TestImagesAreOfTheSources(t *testing.T) {
	all, err := modules("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if !m.current("../image") {
			t.Errorf("the images of %s.cu are not of this source; run make kernels", m.name)
		}
	}
}

// The committed images are what NVRTC makes of the sources, byte for byte.
func TestImagesComeOutTheSame(t *testing.T) {
	if _, err := open(os.Getenv("LLCUDA_NVRTC")); err != nil {
		t.Skip(err)
	}
	program, out := filepath.Join(t.TempDir(), "build"), t.TempDir()
	for _, args := range [][]string{{"go", "build", "-o", program, "."}, {program, "-dir", "..", "-out", out, "-force"}} {
		if text, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, text)
		}
	}
	got, want := files(t, out), files(t, "../image")
	for name, data := range got {
		if !bytes.Equal(want[name], data) {
			t.Errorf("%s differs from what its source gives; run make kernels", name)
		}
	}
	for name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("%s has no source; run make kernels", name)
		}
	}
}

// files are the contents of a folder, unpacked: how well they are packed is up
// to the version of zstd.
func files(t *testing.T, dir string) map[string][]byte {
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, path := range paths {
		if filepath.Ext(path) == ".zst" {
			all[filepath.Base(path)], _, err = unpack(path)
		} else {
			all[filepath.Base(path)], err = os.ReadFile(path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// A source that is wrong is reported once, by the compiler's own words, and
// does not keep the others from being built.
func TestWrongSource(t *testing.T) {
	if _, err := open(os.Getenv("LLCUDA_NVRTC")); err != nil {
		t.Skip(err)
	}
	program, dir := filepath.Join(t.TempDir(), "build"), t.TempDir()
	if text, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "image"), 0o777); err != nil {
		t.Fatal(err)
	}
	write("right.cu", "#include \"seven.cuh\"\nextern \"C\" __global__ void right(int *p) { *p = seven; }\n")
	write("seven.cuh", "#define seven 7\n")
	write("wrong.cu", "extern \"C\" __global__ void wrong(int *p) { *q = 7; }\n")
	text, err := exec.Command(program, "-dir", dir).CombinedOutput()
	if err == nil || bytes.Count(text, []byte(`identifier "q" is undefined`)) != 1 {
		t.Errorf("got %v\n%s", err, text)
	}
	got := files(t, filepath.Join(dir, "image"))
	if string(got["index.txt"]) != "right right\n" || len(got) != 6 || !bytes.HasPrefix(got["right.sm_90.cubin.zst"], []byte("\x7fELF")) {
		t.Errorf("index %q, %d files", got["index.txt"], len(got))
	}
	write("wrong.cu", "extern \"C\" __global__ void wrong(int *p) { *p = 7; }\n")
	if text, err := exec.Command(program, "-dir", dir).CombinedOutput(); err != nil || string(text) != "compiled: wrong\n" {
		t.Errorf("after the repair: %v\n%s", err, text)
	}
	write("seven.cuh", "// A comment.\n\n#define seven 7 // and another\n")
	if text, err := exec.Command(program, "-dir", dir).CombinedOutput(); err != nil || string(text) != "" {
		t.Errorf("after a comment has changed: %v\n%s", err, text)
	}
	write("seven.cuh", "#define seven 8\n")
	if text, err := exec.Command(program, "-dir", dir).CombinedOutput(); err != nil || string(text) != "compiled: right\n" {
		t.Errorf("after a header has changed: %v\n%s", err, text)
	}
	for _, name := range []string{"wrong.cu", "right.cu"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := exec.Command(program, "-dir", dir).CombinedOutput(); err != nil || len(files(t, filepath.Join(dir, "image"))) != 1 {
		t.Errorf("without sources: %v\n%s", err, text)
	}
}

// What a kernel's functions spill is the kernel's. (The remarks are those of ptxas 12.1.)
func TestUsages(t *testing.T) {
	o := &object{
		ptx: []byte(".visible .entry step(\n\t.param .b64 a\n)\n.maxntid 512, 1, 1\n{\n}\n.visible .entry fill()\n{\n"),
		log: `ptxas info    : Compiling entry function 'step' for 'sm_75'
ptxas info    : Function properties for step
ptxas         .     104 bytes stack frame, 260 bytes spill stores, 268 bytes spill loads
ptxas info    : Used 128 registers, 1536 bytes smem, 448 bytes cmem[0], 80 bytes cmem[2]
ptxas info    : Function properties for attend
ptxas         .     16 bytes stack frame, 192 bytes spill stores, 180 bytes spill loads
ptxas info    : Function properties for gather
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Compiling entry function 'fill' for 'sm_75'
ptxas info    : Function properties for fill
ptxas         .     8 bytes stack frame, 4 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 32 registers, 448 bytes cmem[0]
`}
	want := []usage{
		{kernel: "step", threads: 512, registers: 128, stack: 120, stored: 452, loaded: 448, shared: 1536, warps: 16},
		{kernel: "fill", registers: 32, stack: 8, stored: 4},
	}
	if got, err := usages(o); err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if w := warnings(o.log); w != "" {
		t.Errorf("warnings %q", w)
	}
	const slow = "ptxas info    : (C7515) Potential Performance Loss: wgmma.mma_async instructions are serialized\n"
	if w := warnings(o.log + slow); w != slow {
		t.Errorf("warnings %q, want %q", w, slow)
	}
	o.log = "ptxas info    : other words\n"
	if got, err := usages(o); err == nil {
		t.Errorf("%+v of a log that says nothing", got)
	}
}

// A kernel that spills is an error, but for those that the source excuses.
func TestSpills(t *testing.T) {
	m := module{source: "// one is used.\n//\n// cold: one never runs there\n"}
	used := []usage{{kernel: "one", stored: 4}, {kernel: "two", loaded: 8}, {kernel: "three", stack: 16}}
	if err := m.spills(used); err == nil || !strings.Contains(err.Error(), "by two;") {
		t.Error(err)
	}
	if err := m.spills(used[:1]); err != nil {
		t.Error(err)
	}
	if err := m.spills(used[2:]); err == nil {
		t.Error("a kernel that is not there is excused")
	}
}
