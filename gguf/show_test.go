package gguf

import (
	"runtime"
	"strings"
	"testing"
)

func TestBrief(t *testing.T) {
	for name, c := range map[string]struct {
		v    any
		want string
	}{
		"text":       {"grüß", `"grüß"`},
		"escaped":    {"\x1b\xff", `"\x1b\xff"`},
		"long":       {strings.Repeat("日", 100), `"日日日日日日日日…`},
		"long bytes": {strings.Repeat("\xff", 100), `"\xff\xff…`},
		"list":       {[]string{"a", "b"}, `["a", "b"]`},
		"long list":  {[]uint8{100, 101, 102, 103}, `[100, 101, …]`},
		"empty list": {[]float32{}, "[]"},
		"truth":      {true, "true"},
	} {
		if got := Brief(c.v, 10); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// TestBriefMemory: what is not shown costs nothing; quoting all of a string of
// zeros took 36 times its bytes.
func TestBriefMemory(t *testing.T) {
	s := strings.Repeat("\x00", 1<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	Brief(s, 72)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<16 {
		t.Errorf("%d bytes allocated", got)
	}
}
