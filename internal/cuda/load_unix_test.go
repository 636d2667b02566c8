//go:build !windows

package cuda

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestOpenSays: what the loader says is told, though goroutines move between
// threads.
func TestOpenSays(t *testing.T) {
	var over atomic.Bool
	var busy sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		busy.Go(func() {
			for !over.Load() {
				runtime.Gosched()
			}
		})
	}
	silent := 0
	const tries = 20000
	for range tries {
		if _, _, err := open("/nowhere/libcuda.so.1"); err == nil || !strings.Contains(err.Error(), "/nowhere/libcuda.so.1") {
			silent++
		}
	}
	over.Store(true)
	busy.Wait()
	if silent > 0 {
		t.Errorf("%d of %d errors do not name the file", silent, tries)
	}
}
