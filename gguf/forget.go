package gguf

import "github.com/edsrzf/mmap-go"

// Forget gives back the memory that a file's numbers take, and those of what New
// made it of: they are read again when somebody wants them. Who goes through a
// whole model calls it now and then, and takes little memory. It may be called
// while others read.
func (f *File) Forget() {
	for i := range f.shards {
		if m, ok := f.shards[i].mapped.(*mmap.MMap); ok {
			ForgetMap(*m)
		}
	}
	for _, c := range f.under {
		if c, ok := c.(interface{ Forget() }); ok {
			c.Forget()
		}
	}
}

// ForgetMap is Forget for a whole map of a file, which nobody writes to.
func ForgetMap(data []byte) { forget(data) }
