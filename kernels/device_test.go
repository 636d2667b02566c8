package kernels

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/llcuda/llcuda/internal/cuda"
	"github.com/llcuda/llcuda/tensor"
)

// noise are n bytes that look like none else.
func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestMemory(t *testing.T) {
	d := emulated(t)
	before, total := d.Memory()
	if before <= 0 || total < before {
		t.Fatalf("%d of %d bytes free", before, total)
	}
	x, err := d.New(tensor.F16, 3, 5)
	if err != nil {
		t.Fatal(err)
	}
	got := noise(1, 30)
	if err := d.Read(got, x); err != nil || !bytes.Equal(got, make([]byte, 30)) {
		t.Errorf("new tensor holds %v, %v", got, err)
	}
	for _, n := range []int{0, 1, 255, smallest, smallest + 1, largest, 3*slotSize + 77} {
		x, err := d.New(tensor.I8, n)
		if err != nil {
			t.Fatal(err)
		}
		want, got := noise(2, n), make([]byte, n)
		if err := errors.Join(d.Write(x, want), d.Read(got, x)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes do not come back: %v", n, err)
		}
		if n > 100 {
			part := x.Slice(10, n-20)
			if err := errors.Join(d.Write(part, got[:n-30]), d.Read(got, x)); err != nil ||
				!bytes.Equal(got[10:n-20], want[:n-30]) || !bytes.Equal(got[:10], want[:10]) || !bytes.Equal(got[n-20:], want[n-20:]) {
				t.Errorf("a part of %d bytes does not come back: %v", n, err)
			}
		}
		d.Free(x)
		d.Free(x)
		if err := d.Read(got, x); err == nil {
			t.Error("freed memory was read")
		}
	}
	d.Free(x.Slice(1, 2)) // a view: nothing happens
	if err := d.Read(got, x); err != nil {
		t.Error(err)
	}
	d.Free(x)
	if d.Used() != 0 {
		t.Errorf("%d bytes in use", d.Used())
	}
}

// TestManyWrites turns the ring of pinned memory, with reads between.
func TestManyWrites(t *testing.T) {
	d := emulated(t)
	var all []*tensor.Tensor
	for i := range 100 {
		x, err := d.New(tensor.I8, 1+i*400)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Free(x)
		all = append(all, x)
		if err := d.Write(x, noise(uint64(i), x.Bytes())); err != nil {
			t.Fatal(err)
		}
	}
	for i, x := range all {
		got := make([]byte, x.Bytes())
		if err := d.Read(got, x); err != nil || !bytes.Equal(got, noise(uint64(i), x.Bytes())) {
			t.Errorf("write %d does not come back: %v", i, err)
		}
	}
}

func TestBadSizes(t *testing.T) {
	d := emulated(t)
	x, err := d.New(tensor.F32, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Free(x)
	news := func(dt tensor.DType, shape ...int) error { _, err := d.New(dt, shape...); return err }
	place := func(n int) error {
		_, err := d.Place("w", tensor.Q8_0, []int{2, 64}, make([]byte, n))
		return err
	}
	for name, err := range map[string]error{
		"read: f32(2, 2) into 15 bytes, want 16":        d.Read(make([]byte, 15), x),
		"write: 17 bytes into f32(2, 2), want 16":       d.Write(x, make([]byte, 17)),
		"unknown data type":                             news(63, 1),
		"shape [-1]":                                    news(tensor.F32, -1),
		"shape [1099511627776 1099511627776]":           news(tensor.F32, 1<<40, 1<<40),
		"multiples of 32":                               news(tensor.Q8_0, 2, 33),
		`place "w": 100 bytes for q8_0[2 64], want 136`: place(100),
	} {
		if err == nil || !strings.Contains(err.Error(), name) || !strings.HasPrefix(err.Error(), "cuda:0: ") {
			t.Errorf("got %v, want %q", err, name)
		}
	}
}

// TestPlaced: what is placed can be read again, whole or in part, of every type.
func TestPlaced(t *testing.T) {
	d := emulated(t)
	for _, dt := range tensor.DTypes() {
		for _, shape := range [][]int{{5, 256}, {3, 512}, {1025, 4096}} {
			if shape[0] > 1000 && dt != tensor.Q4_K && dt != tensor.Q6_K && dt != tensor.F16 {
				continue
			}
			t.Run(fmt.Sprint(dt, shape), func(t *testing.T) {
				data := noise(uint64(dt), dt.Bytes(tensor.Count(shape)))
				w, err := d.Place("w", dt, shape, bytes.Clone(data))
				if err != nil {
					t.Fatal(err)
				}
				defer d.Free(w)
				got := make([]byte, len(data))
				if err := d.Read(got, w); err != nil || !bytes.Equal(got, data) {
					t.Errorf("does not come back: %v", err)
				}
				part := w.Slice(1, 3)
				if err := d.Read(got[:part.Bytes()], part); err != nil || !bytes.Equal(got[:part.Bytes()], data[part.RowBytes():3*part.RowBytes()]) {
					t.Errorf("rows do not come back: %v", err)
				}
				other := noise(9, len(data))
				if err := errors.Join(d.Write(w, other), d.Read(got, w)); err != nil || !bytes.Equal(got, other) {
					t.Errorf("what is written over it does not come back: %v", err)
				}
			})
		}
	}
}

// TestOutOfMemory fills the card: the error is the one that says so, what
// failed has left nothing, and there is room again afterwards.
func TestOutOfMemory(t *testing.T) {
	t.Setenv("EMU_MEMORY", fmt.Sprint(64<<20))
	d := emulated(t)
	small, err := d.Place("small", tensor.F16, []int{1 << 10}, make([]byte, 2<<10)) // makes the staging area
	if err != nil {
		t.Fatal(err)
	}
	defer d.Free(small)
	free, _ := d.Memory()
	data := make([]byte, 40<<20)
	for range 3 {
		a, err := d.Place("a", tensor.F16, []int{20 << 10, 1 << 10}, data)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := d.Place("b", tensor.F16, []int{20 << 10, 1 << 10}, data); b != nil || !errors.Is(err, tensor.ErrNoMemory) || !errors.Is(err, &cuda.Error{Code: cuda.OutOfMemory}) {
			t.Errorf("placed %v, %v", b, err)
		} else if !strings.Contains(err.Error(), "40 MiB") {
			t.Errorf("error %q does not say how much", err)
		}
		if b, err := d.New(tensor.F32, 10<<20); b != nil || !errors.Is(err, tensor.ErrNoMemory) {
			t.Errorf("made %v, %v", b, err)
		}
		d.Free(a)
	}
	if now, _ := d.Memory(); now != free {
		t.Errorf("%d bytes free, %d before", now, free)
	}
	if err := d.Sync(); err != nil {
		t.Error(err)
	}
}

// TestClose gives all memory back, and may come twice.
func TestClose(t *testing.T) {
	d := emulated(t)
	x, err := d.New(tensor.F32, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Place("w", tensor.F32, []int{100}, make([]byte, 400)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"sync": d.Sync(), "read": d.Read(make([]byte, 4000), x), "write": d.Write(x, make([]byte, 4000)),
		"scale": d.Do(&tensor.Op{Kind: tensor.OpScale, Dst: x, A: x}),
	} {
		if !errors.Is(err, errClosed) {
			t.Errorf("%s of a closed device: %v", name, err)
		}
	}
	d.Free(x)
	if free, total := d.Memory(); free != 0 || total != 0 {
		t.Errorf("a closed device has %d of %d bytes", free, total)
	}
}

// TestDead: a kernel that was ended takes the device with it; every call says
// so, and a device that is opened after it works.
func TestDead(t *testing.T) {
	d := emulated(t)
	x, err := d.New(tensor.F32, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("EMU_FAIL", "cuStreamSynchronize:1:702")
	if err := d.Sync(); !errors.Is(err, &cuda.Error{Code: cuda.LaunchTimeout}) || !strings.Contains(err.Error(), "display") {
		t.Errorf("a kernel that took too long: %v", err)
	}
	t.Setenv("EMU_FAIL", "")
	_, place := d.Place("w", tensor.F32, []int{4}, make([]byte, 16))
	_, compile := d.Compile(nil)
	for name, err := range map[string]error{
		"failed": d.Failed(), "sync": d.Sync(), "read": d.Read(make([]byte, 16), x), "write": d.Write(x, make([]byte, 16)), "place": place, "compile": compile,
		"scale": d.Do(&tensor.Op{Kind: tensor.OpScale, Dst: x, A: x}),
	} {
		if !errors.Is(err, &cuda.Error{Code: cuda.LaunchTimeout}) || !strings.Contains(err.Error(), "%gpu reset") {
			t.Errorf("%s of a dead device: %v", name, err)
		}
	}
	d.Free(x)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	d = emulated(t)
	x, err = d.New(tensor.F32, 4)
	if err != nil {
		t.Fatal(err)
	}
	want, got := noise(1, 16), make([]byte, 16)
	if err := errors.Join(d.Write(x, want), d.Read(got, x)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("a new device: %v", err)
	}
}

// TestTwoDevices: two cards do not mix.
func TestTwoDevices(t *testing.T) {
	t.Setenv("EMU_DEVICES", "2")
	a := emulated(t)
	b, err := Open(1)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if a.Name() != "cuda:0" || b.Name() != "cuda:1" || b.Info().Ordinal != 1 {
		t.Errorf("names %s and %s", a.Name(), b.Name())
	}
	if n, err := Count(); n != 2 || err != nil {
		t.Errorf("%d devices, %v", n, err)
	}
	var wg sync.WaitGroup
	for i, d := range []*Device{a, b} {
		wg.Go(func() {
			for j := range 10 {
				x, err := d.New(tensor.F32, 1000)
				if err != nil {
					t.Error(err)
					return
				}
				want, got := noise(uint64(2*j+i), 4000), make([]byte, 4000)
				if err := errors.Join(d.Write(x, want), d.Read(got, x)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: does not come back: %v", d.Name(), err)
				}
				d.Free(x)
			}
		})
	}
	wg.Wait()
	if _, err := Open(2); err == nil || !strings.Contains(err.Error(), "device 2: there are 2") {
		t.Errorf("a third device: %v", err)
	}
}

// TestScratchGrows runs a program again after another operation has moved the
// scratch memory that its launches know.
func TestScratchGrows(t *testing.T) {
	d := emulated(t)
	const n = 70_000 // several blocks, whose sums meet in scratch memory
	var all []*tensor.Tensor
	vector := func() *tensor.Tensor {
		x, err := d.New(tensor.F32, 1, n)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, x)
		return x
	}
	x, y := vector(), vector()
	s := tensor.NewStream(d)
	s.Random(x, 1)
	p, err := s.Record(func() { s.Softmax(y, x) })
	if err != nil {
		t.Fatal(err)
	}
	defer p.Free()
	run := func() []byte {
		t.Helper()
		s.Fill(y, 0)
		s.Run(p)
		got := make([]byte, y.Bytes())
		if err := errors.Join(s.Sync(), d.Read(got, y)); err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := run()
	before := d.generation
	if err := d.enter("test"); err != nil {
		t.Fatal(err)
	}
	_, err = d.scratch(reduceScratch, 4<<20)
	d.leave()
	if err != nil || d.generation == before {
		t.Fatalf("scratch memory did not grow: %v", err)
	}
	t.Setenv("EMU_FAIL", "cuGraphInstantiateWithFlags:1:2")
	s.Run(p)
	if err := s.Sync(); cuda.Code(err) != cuda.OutOfMemory {
		t.Errorf("no memory for another capture: %v", err)
	}
	t.Setenv("EMU_FAIL", "")
	if got := run(); !bytes.Equal(got, want) {
		t.Error("a program gives something else after scratch memory has moved")
	}
	for _, x := range all {
		d.Free(x)
	}
}

// TestConcurrent uses a device from many goroutines.
func TestConcurrent(t *testing.T) {
	d := emulated(t)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				n := 1 + i*i*1000
				x, err := d.New(tensor.I8, n)
				if err != nil {
					t.Error(err)
					return
				}
				want, got := noise(uint64(g), n), make([]byte, n)
				if err := errors.Join(d.Write(x, want), d.Read(got, x)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes do not come back: %v", n, err)
				}
				d.Memory()
				d.Free(x)
			}
		})
	}
	wg.Wait()
	if d.Used() != 0 {
		t.Errorf("%d bytes in use", d.Used())
	}
}

// TestFault takes what kernels report, once.
func TestFault(t *testing.T) {
	d := emulated(t)
	for _, c := range []struct {
		word uint64
		want string
	}{
		{faultRow | 0xffffffff<<32, "cuda:0: rows: id -1 is not among the rows of the table"},
		{faultPosition | 0xfffffff9<<32, "cuda:0: position -7 is negative"},
	} {
		*d.fault.word = c.word
		if err := d.Sync(); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
		if err := d.Sync(); err != nil {
			t.Errorf("told twice: %v", err)
		}
	}
}

// TestImages chooses the best form of a module for a card.
func TestImages(t *testing.T) {
	names := []string{"index.txt", "norm.sm_75.cubin", "norm.sm_80.cubin", "norm.sm_90.cubin", "norm.compute_75.ptx", "norm.compute_80.ptx", "normal.sm_75.cubin"}
	for capability, want := range map[[2]int]string{
		{7, 5}:  "sm_75 machine code, compute_75 PTX, ",
		{8, 0}:  "sm_80 machine code, compute_80 PTX, compute_75 PTX, ",
		{8, 9}:  "sm_80 machine code, compute_80 PTX, compute_75 PTX, ",
		{9, 0}:  "sm_90 machine code, compute_80 PTX, compute_75 PTX, ",
		{10, 0}: "compute_80 PTX, compute_75 PTX, ",
		{12, 1}: "compute_80 PTX, compute_75 PTX, ",
		{7, 0}:  "",
	} {
		got := ""
		for _, i := range forms(names, "norm", capability[0], capability[1]) {
			got += i.String() + ", "
		}
		if got != want {
			t.Errorf("for %v: %q, want %q", capability, got, want)
		}
	}
	t.Setenv("LLCUDA_IMAGE", "compute_75")
	if all := forms(names, "norm", 9, 0); len(all) != 1 || all[0].file != "norm.compute_75.ptx" {
		t.Errorf("asked for compute_75, got %v", all)
	}
}

// TestNoImages: where no image runs, the reason and the variable are told.
func TestNoImages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	if _, err := readIndex(os.DirFS(dir), dir); err == nil || !strings.Contains(err.Error(), "LLCUDA_IMAGES="+dir) {
		t.Errorf("a folder without images: %v", err)
	}
	names := []string{"norm.sm_75.cubin.zst", "norm.compute_80.ptx.zst"}
	for _, c := range []struct{ image, images, want string }{
		{"", "", "none for its compute capability, 7.2"},
		{"sm_75", "", "LLCUDA_IMAGE=sm_75 is not for compute capability 7.2"},
		{"compute_75", "", "the binary has no such images; unset it, or name a folder that has them in LLCUDA_IMAGES"},
		{"compute_75", "/some", "LLCUDA_IMAGES=/some has no such images"},
	} {
		t.Setenv("LLCUDA_IMAGE", c.image)
		t.Setenv("LLCUDA_IMAGES", c.images)
		if got := whyNone(names, cuda.DeviceInfo{Major: 7, Minor: 2}); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q lacks %q", c.image, got, c.want)
		}
	}
}

// TestTruncatedFile: a file that is cut while it is mapped is an error of
// Place and of Write, and the device works on.
func TestTruncatedFile(t *testing.T) {
	d := emulated(t)
	const n = 8 << 20
	path := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(path, make([]byte, n), 0o644); err != nil {
		t.Fatal(err)
	}
	m := mapped(t, path)
	if err := os.Truncate(path, n/2); err != nil {
		t.Fatal(err)
	}
	free, _ := d.Memory()
	var fault *FileError
	w, err := d.Place("blk.0.ffn_up.weight", tensor.F16, []int{1 << 10, 4 << 10}, m)
	if w != nil || !errors.As(err, &fault) || !strings.Contains(err.Error(), "blk.0.ffn_up.weight") || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("placed %v, %v", w, err)
	}
	if d.Used() != 0 {
		t.Errorf("%d bytes in use", d.Used())
	}
	x, err := d.New(tensor.I8, 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Write(x, m[n-100:]); !errors.As(err, &fault) {
		t.Errorf("write: %v", err)
	}
	if err := d.Write(x, m[:100]); err != nil {
		t.Error(err)
	}
	d.Free(x)
	if now, _ := d.Memory(); now < free-slotSize {
		t.Errorf("%d bytes free, %d before", now, free)
	}
}

// TestTaken: an H200 gave 64 caches of 8,257·1024 numbers of two bytes 18 MiB each, and caches of 1 MiB no more than that.
func TestTaken(t *testing.T) {
	d := emulated(t)
	for bytes, want := range map[int64]int64{100: 100, 1 << 20: 1 << 20, 1<<20 + 1: 2 << 20, 2 * 8257 * 1024: 18 << 20, 18 << 20: 18 << 20} {
		if got := d.Taken(bytes); got != want {
			t.Errorf("%d bytes take %d, want %d", bytes, got, want)
		}
	}
}
