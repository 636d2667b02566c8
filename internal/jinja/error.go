package jinja

import (
	"errors"
	"fmt"
	"strings"
)

// ErrLimit is wrapped by the error of a template that was stopped because it
// took more than its Limits, or that is too large or too deeply nested to
// be parsed.
var ErrLimit = errors.New("template stopped")

// An Error is what is wrong with a template, and where. Line and Column
// count from 1; columns count characters.
type Error struct {
	Line, Column int
	Err          error
}

func (e *Error) Error() string {
	return fmt.Sprintf("jinja: line %d, column %d: %v", e.Line, e.Column, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// A RaiseError is what a template itself refuses with raise_exception: the
// messages do not suit it. It comes wrapped in an Error.
type RaiseError struct{ Message string }

func (e *RaiseError) Error() string { return e.Message }

// A failure is an error on its way up. Inside the package errors travel by
// panic, as in text/template: every operation of the language can fail, and
// Parse and Render are the only places that catch.
type failure struct {
	at  int // byte offset in the source
	err error
}

// catch turns a failure into an Error of source src. Any other panic is a
// fault of this package and goes on.
func catch(src string, err *error) {
	switch f := recover().(type) {
	case nil:
	case failure:
		line, column := position(src, f.at)
		*err = &Error{line, column, f.err}
	default:
		panic(f)
	}
}

// position is the line and the column of a byte offset.
func position(src string, at int) (line, column int) {
	before := src[:min(at, len(src))]
	start := strings.LastIndexByte(before, '\n') + 1
	return 1 + strings.Count(before, "\n"), 1 + len([]rune(before[start:]))
}
