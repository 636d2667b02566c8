package gguf

import (
	"hash/maphash"
	"math/bits"
)

// An index finds names in constant time. It is an open hash table of
// positions, 8 to 16 bytes a name where a map takes 50: a hostile file of a
// million keys must not cost much more memory than it has bytes.
type index struct {
	seed  maphash.Seed
	slots []int32 // position + 1; 0 is free
}

// newIndex makes an index for n names.
func newIndex(n int) index {
	return index{maphash.MakeSeed(), make([]int32, 1<<bits.Len(uint(2*n)))}
}

// add indexes the i-th name. It is false when there is one like it.
func (x index) add(i int, name func(int) string) bool {
	s := x.slot(name(i), name)
	if x.slots[s] != 0 {
		return false
	}
	x.slots[s] = int32(i + 1)
	return true
}

// find is the position of a name, -1 when it is not there.
func (x index) find(want string, name func(int) string) int {
	if len(x.slots) == 0 {
		return -1
	}
	return int(x.slots[x.slot(want, name)]) - 1
}

// slot is where a name is, or the free slot where it would go.
func (x index) slot(want string, name func(int) string) int {
	mask := len(x.slots) - 1
	s := int(maphash.String(x.seed, want)) & mask
	for x.slots[s] != 0 && name(int(x.slots[s])-1) != want {
		s = (s + 1) & mask
	}
	return s
}
