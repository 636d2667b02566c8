package hub

import (
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"hash"
)

// newSum returns the hash whose hex digits are an etag: sha256 of the bytes, or
// what git calls a blob: sha1 of "blob SIZE\0" and the bytes
// (https://git-scm.com/book/en/v2/Git-Internals-Git-Objects).
func newSum(etag string, size int64) hash.Hash {
	if len(etag) == 2*sha256.Size {
		return sha256.New()
	}
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", size)
	return h
}
