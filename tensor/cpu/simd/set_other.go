//go:build !amd64

package simd

// sets are those that this machine can run, the best first.
var sets = []*set{{name: "go"}}
