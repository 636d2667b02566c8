package kernels

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// entry finds a kernel of one argument in PTX, with the size of its struct.
var entry = regexp.MustCompile(`\.entry (\w+)\(\s*\.param \.align \d+ \.b8 \w+\[(\d+)\]\s*\)`)

// TestMirrors compares the Go mirrors of arguments with what the compiler of
// the kernels says of them: each has the size of its kernel's parameter, and
// each kernel has one.
func TestMirrors(t *testing.T) {
	sizes := map[string]int{}
	for _, name := range imageNames() {
		if !strings.HasSuffix(name, ".ptx.zst") {
			continue
		}
		text, err := unpacked(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range entry.FindAllStringSubmatch(string(text), -1) {
			size, _ := strconv.Atoi(m[2])
			if before, ok := sizes[m[1]]; ok && before != size {
				t.Errorf("kernel %s takes %d bytes in %s, %d elsewhere", m[1], size, name, before)
			}
			sizes[m[1]] = size
		}
	}
	modules, err := index()
	if err != nil {
		t.Fatal(err)
	}
	for kernel := range modules {
		if _, ok := sizes[kernel]; !ok {
			t.Errorf("kernel %s is in the index, but in no PTX", kernel)
		}
	}
	for kernel, size := range sizes {
		switch got, ok := mirrors[kernel]; {
		case !ok:
			t.Errorf("kernel %s has no mirror", kernel)
		case int(got) != size:
			t.Errorf("the mirror of kernel %s has %d bytes, its argument %d", kernel, got, size)
		}
	}
	for kernel := range mirrors {
		if _, ok := sizes[kernel]; !ok && len(sizes) > 0 {
			t.Errorf("kernel %s has a mirror, but is in no image", kernel)
		}
	}
}
