package cuda

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// emulated is the driver of a GPU that is not there.
func emulated(t *testing.T) *Driver {
	t.Helper()
	d, err := Load(library(t))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// current makes the context of device 0 current for the test.
func current(t *testing.T, d *Driver) Context {
	t.Helper()
	runtime.LockOSThread()
	dev, err := d.Device(0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.PrimaryRetain(dev)
	if err == nil {
		err = d.SetCurrent(c)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(d.SetCurrent(0), d.PrimaryRelease(dev)); err != nil {
			t.Error(err)
		}
		runtime.UnlockOSThread()
	})
	return c
}

// TestReasons: each way to have no GPU has an error of its own that says what
// to do.
func TestReasons(t *testing.T) {
	lib := library(t)
	old := compile(t, `int cuDriverGetVersion(int *v) { *v = 12040; return 0; }`)
	other := compile(t, `int something(void) { return 0; }`)
	cases := []struct {
		name, lib string
		env       map[string]string
		want      error
		says      []string
	}{
		{"no library", "/nowhere/libcuda.so.1", nil, ErrNoDriver, []string{"/nowhere/libcuda.so.1", "install NVIDIA's driver", "CPU"}},
		{"another library", other, nil, ErrNoDriver, []string{other, "cuDriverGetVersion"}},
		{"a stub", lib, map[string]string{"EMU_FAIL": "cuInit:0:34"}, ErrNoDriver, []string{"CUDA_ERROR_STUB_LIBRARY", "LD_LIBRARY_PATH"}},
		{"an old driver", lib, map[string]string{"EMU_DRIVER_VERSION": "12000"}, ErrOldDriver, []string{"12.0", "12.1", "530"}},
		{"a driver of CUDA 11", lib, map[string]string{"EMU_DRIVER_VERSION": "11040"}, ErrOldDriver, []string{"11.4"}},
		{"a driver without functions", old, nil, ErrOldDriver, []string{"no function cu", "530"}},
		{"no device", lib, map[string]string{"EMU_FAIL": "cuInit:0:100"}, ErrNoDevice, []string{"nvidia-smi", "CPU"}},
		{"no device is counted", lib, map[string]string{"EMU_FAIL": "", "EMU_DEVICES": "0"}, ErrNoDevice, []string{"nvidia-smi"}},
		{"hidden", lib, map[string]string{"EMU_FAIL": "cuInit:0:100", "CUDA_VISIBLE_DEVICES": ""}, ErrHidden, []string{`""`, "unset"}},
		{"hidden by -1", lib, map[string]string{"EMU_FAIL": "cuInit:0:100", "CUDA_VISIBLE_DEVICES": "-1"}, ErrHidden, []string{`"-1"`}},
		{"an old device", lib, map[string]string{"EMU_CC": "7.0"}, ErrOldDevice, []string{"7.0", "7.5", "CPU"}},
		{"a driver updated while it ran", lib, map[string]string{"EMU_FAIL": "cuInit:0:803"}, &Error{Code: 803}, []string{"restart"}},
		{"a compatibility package", lib, map[string]string{"EMU_FAIL": "cuInit:0:804"}, &Error{Code: 804}, []string{"cuda-compat"}},
		{"fails to start", lib, map[string]string{"EMU_FAIL": "cuInit:0:999"}, &Error{Code: 999}, []string{"dmesg"}},
	}
	messages := map[string]string{}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if v, set := os.LookupEnv("CUDA_VISIBLE_DEVICES"); set {
				t.Setenv("CUDA_VISIBLE_DEVICES", v) // put it back afterwards
				os.Unsetenv("CUDA_VISIBLE_DEVICES")
			}
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			d, err := Load(c.lib)
			if err == nil {
				_, err = d.Devices()
			}
			if err == nil {
				_, err = d.Info(0)
			}
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("error %q does not say %q", err, s)
				}
			}
			for _, sentinel := range []error{ErrNoDriver, ErrOldDriver, ErrNoDevice, ErrHidden, ErrOldDevice} {
				if sentinel != c.want && errors.Is(err, sentinel) {
					t.Errorf("error %q is also %q", err, sentinel)
				}
			}
			if same, ok := messages[err.Error()]; ok && c.want != ErrNoDevice {
				t.Errorf("%q is also the error of %s", err, same)
			}
			messages[err.Error()] = c.name
		})
	}
}

func TestInfo(t *testing.T) {
	for k, v := range map[string]string{"EMU_DEVICES": "2", "EMU_CC": "7.5", "EMU_SMS": "40", "EMU_MEMORY": "16000000000"} {
		t.Setenv(k, v)
	}
	d := emulated(t)
	if n, err := d.Devices(); n != 2 || err != nil {
		t.Fatalf("%d devices, %v", n, err)
	}
	i, err := d.Info(1)
	if err != nil {
		t.Fatal(err)
	}
	if i.Ordinal != 1 || i.Capability() != "7.5" || i.SMs != 40 || i.Memory != 16e9 || i.SharedPerBlock != 64<<10 || !i.Cooperative || i.Name == "" || i.PCI == "" || i.Driver != "12.1" {
		t.Errorf("got %+v", i)
	}
	if _, err := d.Info(2); err == nil || !strings.Contains(err.Error(), "device 2: there are 2") {
		t.Errorf("device 2 of 2: %v", err)
	}
}

// TestCopies moves bytes through pinned and device memory, eagerly and as a
// graph.
func TestCopies(t *testing.T) {
	d := emulated(t)
	current(t, d)
	const n = 1000
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	free, total, err := d.MemGetInfo()
	must(err)
	in, err := d.MemHostAlloc(n)
	must(err)
	out, err := d.MemHostAlloc(n)
	must(err)
	a, err := d.MemAlloc(n)
	must(err)
	b, err := d.MemAlloc(n)
	must(err)
	if now, _, _ := d.MemGetInfo(); total < free || now > free-2*n {
		t.Errorf("%d of %d bytes free, %d before", now, total, free)
	}
	s, err := d.StreamCreate()
	must(err)
	copies := func() {
		t.Helper()
		must(d.MemcpyHtoD(a, in, s))
		must(d.MemcpyDtoD(b, a, n, s))
		must(d.MemsetD8(b+10, 7, 10, s))
		must(d.MemsetD32(b+20, 0x01020304, 2, s))
		must(d.MemcpyDtoH(out, b, s))
	}
	check := func(first byte) {
		t.Helper()
		want := make([]byte, n)
		for i := range want {
			want[i] = first + byte(i)
		}
		copy(want[10:], []byte{7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 4, 3, 2, 1, 4, 3, 2, 1})
		if !bytes.Equal(out, want) {
			t.Errorf("got %v…, want %v…", out[:30], want[:30])
		}
	}
	fill := func(first byte) {
		for i := range in {
			in[i] = first + byte(i)
		}
		clear(out)
	}
	fill(3)
	from, err := d.EventCreate(true)
	must(err)
	to, err := d.EventCreate(true)
	must(err)
	must(d.EventRecord(from, s))
	copies()
	must(d.EventRecord(to, s))
	must(d.EventSynchronize(to))
	check(3)
	if took, err := d.EventElapsed(from, to); took < 0 || err != nil {
		t.Errorf("took %v, %v", took, err)
	}

	must(d.StreamBeginCapture(s))
	copies()
	g, err := d.StreamEndCapture(s)
	must(err)
	e, err := d.GraphInstantiate(g)
	must(err)
	must(d.GraphDestroy(g))
	must(d.GraphUpload(e, s))
	for _, first := range []byte{5, 6} {
		fill(first)
		must(d.GraphLaunch(e, s))
		must(d.StreamSynchronize(s))
		must(d.StreamQuery(s))
		check(first)
	}
	must(d.GraphExecDestroy(e))

	p, err := d.MemHostGetDevicePointer(in)
	must(err)
	fill(9)
	must(d.MemcpyDtoD(a, p, n, s))
	must(d.MemcpyDtoH(out, a, s))
	must(d.StreamSynchronize(s))
	if !bytes.Equal(out, in) {
		t.Error("the device does not see pinned memory")
	}
	must(errors.Join(d.EventDestroy(from), d.EventDestroy(to), d.StreamDestroy(s), d.MemFree(a), d.MemFree(b), d.MemFreeHost(in), d.MemFreeHost(out)))
	if now, _, _ := d.MemGetInfo(); now != free {
		t.Errorf("%d bytes free, %d before", now, free)
	}
}

// TestErrors: an error has the call, the library's name for it, and advice.
func TestErrors(t *testing.T) {
	d := emulated(t)
	current(t, d)
	_, total, _ := d.MemGetInfo()
	_, err := d.MemAlloc(int(total) + 1)
	if !errors.Is(err, &Error{Code: OutOfMemory}) || errors.Is(err, &Error{Code: InvalidValue}) || Code(err) != OutOfMemory {
		t.Errorf("too much memory: %v", err)
	}
	for _, s := range []string{"cuMemAlloc_v2", "CUDA_ERROR_OUT_OF_MEMORY", "nvidia-smi", "--gpu-layers"} {
		if err != nil && !strings.Contains(err.Error(), s) {
			t.Errorf("error %q does not say %q", err, s)
		}
	}
	if e := (*Error)(nil); !errors.As(err, &e) || e.Sticky() {
		t.Errorf("%v ends the context", err)
	}
	t.Setenv("EMU_FAIL", "cuStreamSynchronize:0:702")
	err = d.StreamSynchronize(0)
	if e := (*Error)(nil); !errors.As(err, &e) || !e.Sticky() || !strings.Contains(err.Error(), "display") {
		t.Errorf("a kernel that took too long: %v", err)
	}
	t.Setenv("EMU_FAIL", "cuModuleLoadDataEx:0:222")
	if _, err := d.ModuleLoadData([]byte(".version 9.9")); Code(err) != NewerPTX || !strings.Contains(err.Error(), "update NVIDIA's driver") {
		t.Errorf("an image that is too new: %v", err)
	}
	t.Setenv("EMU_FAIL", "")
	if _, err := d.ModuleGetFunction(0, "nothing"); err == nil {
		t.Error("a function of no module was found")
	}
}

// compile makes a shared library of C.
func compile(t *testing.T, source string) string {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("gcc is not there")
	}
	dir := t.TempDir()
	c, lib := filepath.Join(dir, "lib.c"), filepath.Join(dir, "lib.so")
	if err := os.WriteFile(c, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(gcc, "-shared", "-fPIC", "-o", lib, c).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %s", out)
	}
	return lib
}
