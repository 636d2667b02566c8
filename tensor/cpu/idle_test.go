//go:build unix

package cpu

import (
	"syscall"
	"testing"
	"time"
)

// TestIdle: a device that has nothing to do takes no processor time.
func TestIdle(t *testing.T) {
	dev := New(2)
	defer dev.Close()
	if err := waits(dev, 10).Run(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // the workers fall asleep
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(0, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	time.Sleep(200 * time.Millisecond)
	if d := used() - before; d > 50*time.Millisecond {
		t.Errorf("%v of processor time in 200 ms of idling", d)
	}
}
