package expr

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// An Error is a mistake in the source, or what went wrong at a place of it.
type Error struct {
	Src  string // the whole source
	Pos  int    // byte offset of the place
	Msg  string
	Open bool // the source ended too early: more of it could make it right
	Err  error
}

func errorAt(src string, pos int, format string, args ...any) *Error {
	return &Error{Src: src, Pos: min(pos, len(src)), Msg: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Msg }
func (e *Error) Unwrap() error { return e.Err }

// Line is the line of the place, counted from 1, and its text.
func (e *Error) Line() (int, string) {
	before := e.Src[:e.Pos]
	start := strings.LastIndexByte(before, '\n') + 1
	text, _, _ := strings.Cut(e.Src[start:], "\n")
	return 1 + strings.Count(before, "\n"), text
}

// Column is the column of the place in characters, counted from 1.
func (e *Error) Column() int {
	before := e.Src[:e.Pos]
	return 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}

// Caret shows the line with a caret under the place. A long line is cut around
// it.
func (e *Error) Caret() string {
	_, text := e.Line()
	line, col := []rune(text), e.Column()-1
	const around = 60
	lead := ""
	if from := col - around; from > 0 {
		line, col, lead = line[from:], around, "…"
	}
	if len(line) > col+around {
		line = append(line[:col+around:col+around], '…')
	}
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, lead+string(line[:min(col, len(line))]))
	return lead + string(line) + "\n" + pad + "^"
}
