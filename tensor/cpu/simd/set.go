package simd

// A set holds the routines of one instruction set.
type set struct{ name string }

// sets are those that this machine can run, the best first.
var sets = []*set{{name: "go"}}
