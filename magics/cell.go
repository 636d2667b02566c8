package magics

import (
	"regexp"
	"strings"
)

// A step is one thing that a cell does.
type step struct {
	kind   stepKind
	line   int    // of the cell, from 0
	text   string // its source, without surrounding blanks
	name   string // of the magic, or what help is wanted for
	args   string // behind the name, or the shell command; "\\\n" where a line goes on
	cell   bool   // %%name
	late   bool   // %%name that something stands before
	body   string // of a %%name cell
	offset int    // byte offset of args in the cell
}

type stepKind uint8

const (
	stepMagic stepKind = iota
	stepShell
	stepHelp
	stepGo
)

var (
	magicForm  = regexp.MustCompile(`^(%%?)([\pL_][\pL\pN_.-]*)`)
	helpBefore = regexp.MustCompile(`^\?\??\s*(%{0,2}[\pL_][\pL\pN_.-]*)$`)
	helpBehind = regexp.MustCompile(`^(%{0,2}[\pL_][\pL\pN_.-]*)\?\??$`)
)

// parseCell cuts a cell into steps. A cell that starts with %%name is one
// step; in all others a line is a step, longer where it ends in a backslash;
// blank lines and comments (# and //) are left out. It accepts everything:
// what is nothing else is Go.
func parseCell(code string) []step {
	var steps []step
	for pos, line := 0, 0; pos < len(code); {
		raw := logicalLine(code[pos:])
		text := strings.TrimSpace(raw)
		s := step{line: line, text: text}
		start := pos + len(raw) - len(strings.TrimLeft(raw, " \t\r\n"))
		line += strings.Count(raw, "\n") + 1
		pos += len(raw) + 1
		if text == "" || strings.HasPrefix(text, "#") || strings.HasPrefix(text, "//") {
			continue
		}
		s.parse(start)
		if s.cell && len(steps) == 0 {
			s.body = code[min(pos, len(code)):]
			return []step{s}
		}
		s.late = s.cell
		steps = append(steps, s)
	}
	return steps
}

// logicalLine is the first line of code, and those that it goes on in.
func logicalLine(code string) string {
	for at := 0; ; {
		n := strings.IndexByte(code[at:], '\n')
		if n < 0 {
			return code
		}
		line := strings.TrimRight(code[at:at+n], "\r")
		if comment := strings.TrimSpace(line); !strings.HasSuffix(line, `\`) || at == 0 && strings.HasPrefix(comment, "#") {
			return code[:at+n]
		}
		at += n + 1
	}
}

// parse fills s from its text, which starts at a byte offset of the cell.
func (s *step) parse(start int) {
	if m := helpBefore.FindStringSubmatch(s.text); m != nil {
		s.kind, s.name = stepHelp, m[1]
		return
	}
	if m := helpBehind.FindStringSubmatch(s.text); m != nil {
		s.kind, s.name = stepHelp, m[1]
		return
	}
	if cmd, ok := strings.CutPrefix(s.text, "!"); ok {
		s.kind, s.args, s.offset = stepShell, cmd, start+1
		return
	}
	m := magicForm.FindStringSubmatch(s.text)
	if m == nil {
		s.kind = stepGo
		return
	}
	rest := s.text[len(m[0]):]
	s.kind, s.name, s.cell = stepMagic, m[2], m[1] == "%%"
	s.args = strings.TrimLeft(rest, " \t")
	s.offset = start + len(s.text) - len(s.args)
}
