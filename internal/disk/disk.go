// Package disk asks how much a user may still write.
package disk

// Free is the number of bytes a user may still write in a folder. Systems that
// do not say know no bound.
func Free(dir string) (int64, error) { return free(dir) }

// IsFull says whether a write failed because the disk had no room.
func IsFull(err error) bool { return isFull(err) }
