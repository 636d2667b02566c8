package gguf

import "hash/maphash"

// An index finds names in constant time. It is an open hash table of
// positions, 6 bytes a name where a map takes 50: a hostile file of a million
// keys must not cost more memory than twice its bytes.
type index struct {
	seed  maphash.Seed
	slots []int32 // position + 1; 0 is free
}

// newIndex makes an index for n names.
func newIndex(n int) index {
	return index{maphash.MakeSeed(), make([]int32, n+n/2+1)}
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
	s := int(maphash.String(x.seed, want) % uint64(len(x.slots)))
	for x.slots[s] != 0 && name(int(x.slots[s])-1) != want {
		s = (s + 1) % len(x.slots)
	}
	return s
}
