package cli

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/llcuda/llcuda/internal/cuda"
	"github.com/llcuda/llcuda/internal/nvml"
)

// TestWatchGPU: what was shown is written over, until the time is over or an
// interrupt; JSON comes line by line. Where there are no cards, it is said once.
func TestWatchGPU(t *testing.T) {
	t.Setenv("CUDA_VISIBLE_DEVICES", "")
	show := func() (string, bool, error) { return "one\ntwo\n", true, nil }
	var out strings.Builder
	if err := watchGPU(t.Context(), &out, 1100*time.Millisecond, false, show); err != nil || out.String() != "one\ntwo\n\x1b[2A\x1b[Jone\ntwo\n" {
		t.Errorf("%v, %q", err, out.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out.Reset()
	if err := watchGPU(ctx, &out, 0, true, show); err != nil || out.String() != "one\ntwo\n" {
		t.Errorf("interrupted: %v, %q", err, out.String())
	}
	for _, args := range [][]string{{"gpu"}, {"gpu", "--json"}} {
		once := output(t, "", args...)
		if out := output(t, "", append(args, "--watch", "1.1")...); out != once {
			t.Errorf("%v --watch without a card: %q, want %q", args, out, once)
		}
	}
	for _, args := range [][]string{{"gpu", "5"}, {"gpu", "--watch", "soon"}, {"gpu", "--watch", "-1"}} {
		if _, _, err := command(t, "", args...); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

// TestJoin: CUDA's number and multiprocessors come to what NVML knows; a card
// that is too old, or that could not be opened, says so.
func TestJoin(t *testing.T) {
	c := nvml.Card{Name: "Tesla T4", Problem: "not seen"}
	join(&c, cuda.DeviceInfo{Ordinal: 1, Major: 7, Minor: 5, SMs: 40})
	if c.Device != "cuda:1" || c.SMs != 40 || c.Problem != "" || !strings.HasPrefix(c.Kernels, "sm_75") {
		t.Errorf("%+v", c)
	}
	c = nvml.Card{Name: "Tesla P4"}
	join(&c, cuda.DeviceInfo{Major: 6, Minor: 1})
	if !strings.Contains(c.Problem, "below 7.5") || c.Kernels != "" {
		t.Errorf("%+v", c)
	}
	unopened.Store("cuda:9", errors.New("no memory for a context"))
	defer unopened.Delete("cuda:9")
	join(&c, cuda.DeviceInfo{Ordinal: 9, Major: 9})
	if c.Problem != "no memory for a context" || c.Kernels != "" {
		t.Errorf("%+v", c)
	}
}

// TestDoctorNoGPU: no card is not a failure, but doctor says how to get one.
func TestDoctorNoGPU(t *testing.T) {
	t.Setenv("CUDA_VISIBLE_DEVICES", "")
	out, _, _ := command(t, "", "doctor") // other checks may fail here
	want := "ok    gpu          none: CUDA_VISIBLE_DEVICES hides all GPUs: it is set to \"\"; the CPU is used\n" +
		"                   → Unset it, or set it to the numbers of the cards to use"
	if !strings.Contains(out, want) {
		t.Errorf("got %s\nwant %s", out, want)
	}
}
