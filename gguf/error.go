package gguf

import (
	"errors"
	"fmt"
)

var (
	// ErrNoKey says that a file has no metadata of that key.
	ErrNoKey = errors.New("no such key")
	// ErrFileChanged says that a file became shorter while it was mapped.
	ErrFileChanged = errors.New("the file was changed while it was in use")
)

// A FormatError says what is wrong with a file, and where.
type FormatError struct {
	Path   string // of the file; empty for Parse
	Where  string // `tensor "blk.3.ffn_up.weight"`, `key "general.alignment"`, "header"
	Offset int64  // of the byte at fault from the start of the file, -1 where none is
	Err    error  // what was found and what was wanted
}

func (e *FormatError) Error() string {
	s := "gguf: "
	if e.Path != "" {
		s += e.Path + ": "
	}
	if e.Where != "" {
		s += e.Where + ": "
	}
	s += e.Err.Error()
	if e.Offset >= 0 {
		s += fmt.Sprintf(" (at byte %d)", e.Offset)
	}
	return s
}

func (e *FormatError) Unwrap() error { return e.Err }
