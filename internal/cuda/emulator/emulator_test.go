//go:build linux

package emulator_test

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/llcuda/llcuda/internal/cuda"
	"github.com/llcuda/llcuda/internal/cuda/emulator"
)

// library is the emulated driver with the kernels of testdata.
var library = sync.OnceValues(func() (string, error) { return emulator.Build("testdata") })

// A card is device 0 of it in the hands of a test.
type card struct {
	*cuda.Driver
	t       *testing.T
	context cuda.Context
	module  cuda.Module
	stream  cuda.Stream
}

// open gives a test the device and its system thread. env is name, value, …
func open(t *testing.T, env ...string) *card {
	t.Helper()
	t.Setenv("EMU_QUIET", "1")
	for i := 0; i < len(env); i += 2 {
		t.Setenv(env[i], env[i+1])
	}
	lib, err := library()
	if errors.Is(err, emulator.ErrNoCompiler) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	d, err := cuda.Load(lib)
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	c := &card{Driver: d, t: t}
	dev, err := d.Device(0)
	c.must(err)
	c.context, err = d.PrimaryRetain(dev)
	c.must(err)
	c.must(d.SetCurrent(c.context))
	c.module, err = d.ModuleLoadData([]byte("any"))
	c.must(err)
	c.stream, err = d.StreamCreate()
	c.must(err)
	t.Cleanup(func() {
		d.PrimaryReset(dev) // also after a sticky error
		d.PrimaryRelease(dev)
		d.SetCurrent(0)
		runtime.UnlockOSThread()
	})
	return c
}

func (c *card) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// data mirrors struct Data of the kernels.
type data struct {
	in, other, out uint64
	n, which       int32
}

func (c *card) function(name string) cuda.Function {
	c.t.Helper()
	f, err := c.ModuleGetFunction(c.module, name)
	c.must(err)
	return f
}

func (c *card) launch(name string, grid, block, shared int, a data) error {
	c.t.Helper()
	return c.LaunchKernel(c.function(name), [3]int{grid, 1, 1}, [3]int{block, 1, 1}, shared, c.stream, []unsafe.Pointer{unsafe.Pointer(&a)})
}

// run launches and waits.
func (c *card) run(name string, grid, block, shared int, a data) error {
	c.t.Helper()
	if err := c.launch(name, grid, block, shared, a); err != nil {
		return err
	}
	return c.StreamSynchronize(c.stream)
}

func (c *card) alloc(bytes int) uint64 {
	c.t.Helper()
	p, err := c.MemAlloc(bytes)
	c.must(err)
	return p
}

// place copies numbers to fresh memory.
func place[T any](c *card, v []T) uint64 {
	c.t.Helper()
	p := c.alloc(len(v) * int(unsafe.Sizeof(v[0])))
	c.must(c.MemcpyHtoD(p, bytes(v), c.stream))
	return p
}

func read[T any](c *card, p uint64, n int) []T {
	c.t.Helper()
	v := make([]T, n)
	c.must(c.MemcpyDtoH(bytes(v), p, c.stream))
	return v
}

func bytes[T any](v []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(v[0])))
}

// fault is what the emulator last said.
func (c *card) fault() string {
	lib, err := purego.Dlopen(c.Path(), purego.RTLD_NOW|purego.RTLD_LOCAL)
	c.must(err)
	fn, err := purego.Dlsym(lib, "emuLastFault")
	c.must(err)
	var last func() string
	purego.RegisterFunc(&last, fn)
	return last()
}

func numbers(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i%17) - 3
	}
	return v
}

// TestBuild: a file that does not compile takes its own kernels away only, and
// is named.
func TestBuild(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const args = "#include \"cuda.cuh\"\nstruct Args { uint64_t x; };\n"
	write("good.cu", args+"KERNEL(good, Args, 32, 1) { *(int *)a.x = 1; }\n")
	write("bad.cu", args+"KERNEL(bad, Args, 32, 1) { nonsense; }\n")
	lib, err := emulator.Build(dir)
	if errors.Is(err, emulator.ErrNoCompiler) {
		t.Skip(err)
	}
	var failed *emulator.CompileError
	if !errors.As(err, &failed) || !slices.Equal(failed.Files, []string{"bad.cu"}) || !strings.Contains(failed.Output, "nonsense") {
		t.Errorf("error %v, want one about bad.cu and nonsense", err)
	}
	objects, _ := filepath.Glob(filepath.Join(filepath.Dir(lib), "*.cu.so"))
	if len(objects) != 1 || !strings.Contains(objects[0], "good") {
		t.Errorf("the library has %v, want good", objects)
	}
}

func TestReductions(t *testing.T) {
	c := open(t)
	x := numbers(10_000)
	in, out := place(c, x), c.alloc(4*100)
	for _, block := range []int{32, 128, 1024} {
		grid := (len(x) + block - 1) / block
		grid = min(grid, 100)
		c.must(c.run("sums", grid, block, 4*block, data{in: in, out: out, n: int32(len(x))}))
		got := read[float32](c, out, grid)
		for b, g := range got {
			var want float32
			for i := b * block; i < min((b+1)*block, len(x)); i++ {
				want += x[i]
			}
			if g != want {
				t.Fatalf("block %d of %d threads: %v, want %v", b, block, g, want)
			}
		}
	}
}

// TestMissingBarrier: one of the two orders shows it.
func TestMissingBarrier(t *testing.T) {
	c := open(t)
	x := numbers(512)
	in, out := place(c, x), c.alloc(4*512)
	wrong := func(which int32) (n int) {
		c.must(c.run("reverse", 2, 256, 0, data{in: in, out: out, which: which}))
		for i, g := range read[float32](c, out, 512) {
			if g != x[i/256*256+255-i%256] {
				n++
			}
		}
		return n
	}
	if n := wrong(0); n != 0 {
		t.Errorf("%d of 512 numbers are wrong with a barrier", n)
	}
	if n := wrong(1); n == 0 {
		t.Error("nothing is wrong without the barrier")
	}
}

func TestVotesAndAtomics(t *testing.T) {
	c := open(t, "EMU_THREADS", "3")
	out := c.alloc(32)
	for _, n := range []int32{0, 1, 77, 96} {
		c.must(c.run("votes", 1, 96, 0, data{out: out, n: n}))
		want := []int32{n, 0, 0}
		if n == 96 {
			want[1] = 1
		}
		if n > 0 {
			want[2] = 1
		}
		if got := read[int32](c, out, 3); !slices.Equal(got, want) {
			t.Errorf("votes of %d of 96: %v, want %v", n, got, want)
		}
	}
	c.must(c.MemsetD8(out, 0, 32, c.stream))
	c.must(c.run("counters", 30, 256, 0, data{out: out}))
	got := read[uint32](c, out, 8)
	want := []uint32{30 * 256, 30*256 - 1, math.Float32bits(30 * 128), 0, 0, 30 * 256, 77, 30 * 512}
	if !slices.Equal(got, want) {
		t.Errorf("counters %v, want %v", got, want)
	}
}

func TestDimensions(t *testing.T) {
	c := open(t)
	out := c.alloc(4 * 24 * 30)
	a := data{out: out}
	c.must(c.LaunchKernel(c.function("dimensions"), [3]int{4, 3, 2}, [3]int{5, 3, 2}, 0, c.stream, []unsafe.Pointer{unsafe.Pointer(&a)}))
	for i, g := range read[int32](c, out, 24*30) {
		if want := int32(i/30*1000 + i%30); g != want {
			t.Fatalf("thread %d of block %d wrote %d, want %d", i%30, i/30, g, want)
		}
	}
}

func TestCooperative(t *testing.T) {
	c := open(t)
	const blocks, rounds = 8, 50
	out, counter := c.alloc(4*2*blocks), c.alloc(4)
	c.must(c.MemsetD8(out, 0, 8*blocks, c.stream))
	c.must(c.MemsetD8(counter, 0, 4, c.stream))
	a := data{other: counter, out: out, n: rounds}
	f := c.function("rounds")
	c.must(c.LaunchCooperative(f, [3]int{blocks, 1, 1}, [3]int{64, 1, 1}, 0, c.stream, []unsafe.Pointer{unsafe.Pointer(&a)}))
	for i, g := range read[float32](c, out+4*(rounds%2)*blocks, blocks) {
		if g != rounds {
			t.Errorf("block %d counted %v rounds, want %d", i, g, rounds)
		}
	}
	room, err := c.Occupancy(f, 64, 0)
	c.must(err)
	err = c.LaunchCooperative(f, [3]int{room*4 + 1, 1, 1}, [3]int{64, 1, 1}, 0, c.stream, []unsafe.Pointer{unsafe.Pointer(&a)})
	if code(err) != 720 {
		t.Errorf("one block too many: %v", err)
	}
}

// TestCopies: what is not waited for is not there.
func TestCopies(t *testing.T) {
	x := numbers(512)
	for _, k := range []struct {
		capability string
		which      int32
		there      int // of four groups
	}{{"8.0", 0, 4}, {"8.0", 2, 2}, {"8.0", -1, 0}, {"7.5", -1, 4}} {
		t.Run(k.capability, func(t *testing.T) {
			c := open(t, "EMU_CC", k.capability)
			out := c.alloc(4 * 512)
			c.must(c.run("copies", 1, 32, 0, data{in: place(c, x), out: out, which: k.which}))
			for i, g := range read[float32](c, out, 512) {
				if there := i < k.there*128; there && g != x[i] || !there && g == g {
					t.Fatalf("number %d of 512 is %v with wait %d; %d groups should be there", i, g, k.which, k.there)
				}
			}
		})
	}
}

func TestUnwritten(t *testing.T) {
	c := open(t)
	out := c.alloc(4 * 96)
	for range 2 {
		c.must(c.run("unwritten", 4, 32, 128, data{in: c.alloc(128), out: out}))
		for i, g := range read[float32](c, out, 96) {
			if g == g {
				t.Fatalf("number %d was never written and is %v", i, g)
			}
		}
	}
}

// TestMistakes: each is an error of its sort, is told with kernel and thread,
// and sticks.
func TestMistakes(t *testing.T) {
	for _, k := range []struct {
		name  string
		which int32
		n     int32
		code  int
		says  string
	}{
		{"early return", 0, 0, 719, "32 threads wait at __syncthreads, 32 have ended (thread 32 is the first)"},
		{"lane missing", 1, 0, 719, "from thread 7 on: waits at __syncthreads"},
		{"read past the end", 2, 1 << 12, 700, "thread (3,0,0): illegal address: "},
		{"misaligned store", 3, 0, 716, "misaligned address"},
		{"index of an array", 4, 8, 700, "index 8 is outside of 'float [8]'"},
		{"shift by 32", 5, 32, 719, "shift of 'unsigned int' by 32"},
		{"past dynamic shared memory", 6, 64, 700, "0 bytes past the end of the block's 256 bytes of dynamic shared memory"},
		{"null", 7, 0, 700, "0, which is in no allocation"},
		{"division by zero", 8, 40, 719, "division by zero"},
		{"stack", 9, 0, 700, "stack (128 KB) is full"},
		{"different operations", 10, 0, 715, "meets"},
		{"own lane not in the mask", 11, 0, 715, "in which the lane itself (0) is not"},
		{"trap", 12, 0, 715, "__trap"},
		{"never ends", 13, 0, 702, "EMU_TIMEOUT"},
		{"different barriers", 15, 0, 719, "different forms"},
		{"misaligned load", 16, 0, 716, "not aligned"},
		{"misaligned copy", 17, 0, 716, "cp_async16"},
	} {
		t.Run(k.name, func(t *testing.T) {
			c := open(t, "EMU_ORDER", "forward")
			if k.which == 13 {
				t.Setenv("EMU_TIMEOUT", "1")
			}
			a := data{in: c.alloc(4000), out: c.alloc(4096), n: k.n, which: k.which}
			if err := c.run("mistake", 2, 64, 256, a); code(err) != k.code {
				t.Errorf("error %v, want code %d", err, k.code)
			}
			if got := c.fault(); !strings.Contains(got, "kernel mistake") || !strings.Contains(got, k.says) {
				t.Errorf("said %q, want %q", got, k.says)
			}
			if _, err := c.MemAlloc(4); code(err) != k.code {
				t.Errorf("the next call returns %v, want code %d again", err, k.code)
			}
		})
	}
}

// TestGuards: a write into the padding of an allocation shows when the host waits.
func TestGuards(t *testing.T) {
	c := open(t)
	a := data{in: c.alloc(4000), out: c.alloc(4), n: 1000, which: 14}
	if err := c.run("mistake", 1, 64, 256, a); code(err) != 700 {
		t.Errorf("error %v, want code 700", err)
	}
	if got := c.fault(); !strings.Contains(got, "written 0 bytes past the end of an allocation of 4000 bytes") {
		t.Errorf("said %q", got)
	}
}

func TestLateUse(t *testing.T) {
	c := open(t)
	p := c.alloc(4096)
	c.must(c.MemFree(p))
	if err := c.run("unwritten", 1, 32, 128, data{in: p, out: c.alloc(400)}); code(err) != 700 {
		t.Errorf("error %v, want code 700", err)
	}
	if got := c.fault(); !strings.Contains(got, "that is freed") {
		t.Errorf("said %q", got)
	}
}

func code(err error) int {
	var e *cuda.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func TestLimits(t *testing.T) {
	c := open(t, "EMU_CC", "7.5")
	out := c.alloc(4 * 4096)
	a := data{in: out, out: out, n: 1}
	for _, k := range []struct {
		name          string
		kernel        string
		grid, block   int
		shared, optin int
		want          int
	}{
		{"no blocks", "sums", 0, 32, 4096, 0, 1},
		{"threads of a block", "sums", 1, 1025, 4096, 0, 1},
		{"launch bounds", "rounds", 1, 65, 0, 0, 701},
		{"48 KB", "sums", 1, 32, 48 << 10, 0, 0},
		{"more than 48 KB", "sums", 1, 32, 48<<10 + 1, 0, 1},
		{"opted in", "sums", 1, 32, 64 << 10, 64 << 10, 0},
	} {
		if k.optin > 0 {
			c.must(c.FuncSetAttribute(c.function(k.kernel), 8, k.optin))
		}
		if err := c.run(k.kernel, k.grid, k.block, k.shared, a); code(err) != k.want {
			t.Errorf("%s: %v, want code %d", k.name, err, k.want)
		}
	}
	if err := c.FuncSetAttribute(c.function("sums"), 8, 64<<10+1); code(err) != 1 {
		t.Errorf("65 KB of shared memory on 7.5: %v", err)
	}
	c.must(c.FuncSetAttribute(c.function("sums"), 8, 48<<10))
	if _, err := c.ModuleGetFunction(c.module, "nothing"); code(err) != 500 {
		t.Errorf("unknown kernel: %v", err)
	}
}

func TestMemory(t *testing.T) {
	c := open(t, "EMU_MEMORY", "1000000")
	p := c.alloc(600_000)
	if _, err := c.MemAlloc(600_000); code(err) != 2 {
		t.Errorf("more than there is: %v", err)
	}
	free, total, err := c.MemGetInfo()
	if err != nil || free != 400_000 || total != 1_000_000 {
		t.Errorf("%d of %d free, %v", free, total, err)
	}
	if err := c.MemcpyHtoD(p+599_999, []byte{1, 2}, c.stream); code(err) != 1 {
		t.Errorf("copy past the end: %v", err)
	}
	c.must(c.MemFree(p))
	if err := c.MemFree(p); code(err) != 1 {
		t.Errorf("freed twice: %v", err)
	}
}

// TestLazy: with EMU_LAZY the host sees nothing before it waits.
func TestLazy(t *testing.T) {
	c := open(t, "EMU_LAZY", "1")
	host, err := c.MemHostAlloc(4)
	c.must(err)
	binary.LittleEndian.PutUint32(host, 7)
	p := c.alloc(4)
	c.must(c.MemsetD32(p, 42, 1, c.stream))
	c.must(c.MemcpyDtoH(host, p, c.stream))
	if got := binary.LittleEndian.Uint32(host); got != 7 {
		t.Errorf("%d before waiting, want 7", got)
	}
	c.must(c.StreamSynchronize(c.stream))
	if got := binary.LittleEndian.Uint32(host); got != 42 {
		t.Errorf("%d after waiting, want 42", got)
	}
	c.must(c.MemFreeHost(host))
}

func TestGraphs(t *testing.T) {
	c := open(t)
	x := numbers(256)
	in, out := place(c, x), c.alloc(4*256)
	c.must(c.StreamBeginCapture(c.stream))
	c.must(c.launch("reverse", 1, 256, 0, data{in: in, out: out}))
	c.must(c.launch("reverse", 1, 256, 0, data{in: out, out: in}))
	g, err := c.StreamEndCapture(c.stream)
	c.must(err)
	if got := read[float32](c, in, 256); !slices.Equal(got, x) {
		t.Error("capturing ran something")
	}
	e, err := c.GraphInstantiate(g)
	c.must(err)
	c.must(c.GraphDestroy(g))
	x[0] = 1000
	c.must(c.MemcpyHtoD(in, bytes(x), c.stream))
	for range 3 {
		c.must(c.GraphLaunch(e, c.stream))
	}
	if got := read[float32](c, in, 256); !slices.Equal(got, x) {
		t.Error("reversing twice changed the numbers")
	}
	if got := read[float32](c, out, 256); got[255] != 1000 {
		t.Errorf("the last number is %v, want 1000", got[255])
	}
	c.must(c.GraphExecDestroy(e))

	c.must(c.StreamBeginCapture(c.stream))
	if err := c.StreamSynchronize(c.stream); code(err) != 900 {
		t.Errorf("waiting while capturing: %v", err)
	}
	if _, err := c.StreamEndCapture(c.stream); code(err) != 901 {
		t.Errorf("end of a capture that went wrong: %v", err)
	}
}

func TestTwoDevices(t *testing.T) {
	c := open(t, "EMU_DEVICES", "2")
	in := c.alloc(400)
	dev, err := c.Device(1)
	c.must(err)
	second, err := c.PrimaryRetain(dev)
	c.must(err)
	defer c.PrimaryRelease(dev)
	defer c.PrimaryReset(dev)
	c.must(c.SetCurrent(second))
	free, total, err := c.MemGetInfo()
	if err != nil || free != total {
		t.Errorf("memory of device 0 counts on device 1: %d of %d free, %v", free, total, err)
	}
	s, err := c.StreamCreate()
	c.must(err)
	c.stream = s
	if err := c.run("unwritten", 1, 32, 128, data{in: in, out: c.alloc(400)}); code(err) != 700 {
		t.Errorf("memory of device 0 in a kernel on device 1: %v", err)
	}
	c.must(c.SetCurrent(c.context))
	if _, _, err := c.MemGetInfo(); err != nil {
		t.Errorf("the error of device 1 is also one of device 0: %v", err)
	}
}

func TestFailures(t *testing.T) {
	c := open(t, "EMU_FAIL", "cuMemAlloc:2:2,cuMemsetD8Async:1:719")
	if _, err := c.MemAlloc(4); err != nil {
		t.Errorf("first: %v", err)
	}
	if _, err := c.MemAlloc(4); code(err) != 2 {
		t.Errorf("second: %v, want code 2", err)
	}
	p, err := c.MemAlloc(4)
	if err != nil {
		t.Errorf("third: %v", err)
	}
	if err := c.MemsetD8(p, 0, 4, c.stream); code(err) != 719 {
		t.Errorf("fill: %v, want code 719", err)
	}
}

// TestForeignThread: a context is a thread's.
func TestForeignThread(t *testing.T) {
	c := open(t)
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends
		_, err := c.MemAlloc(4)
		result <- err
	}()
	if err := <-result; code(err) != 201 {
		t.Errorf("without a current context: %v, want code 201", err)
	}
}

// TestFaultsOfGo: the handler of the emulator leaves Go's own faults to Go.
func TestFaultsOfGo(t *testing.T) {
	c := open(t)
	out := c.alloc(400)
	c.must(c.run("unwritten", 1, 32, 128, data{in: out, out: out}))
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	var p *int
	*p = 1
}
