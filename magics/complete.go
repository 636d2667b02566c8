package magics

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/internal/quantize"
	"github.com/llcuda/llcuda/jupyter"
	"github.com/llcuda/llcuda/magics/expr"
	"github.com/llcuda/llcuda/tensor"
)

// A Completing is what a magic's Complete gets to know.
type Completing struct {
	Words  []string // words of the arguments that are whole
	Word   string   // the beginning of the one that is wanted
	Before string   // all arguments up to the cursor
}

// Complete proposes magics, flags, models, files, variables and functions.
func (in *Interpreter) Complete(_ context.Context, code string, cursor int) jupyter.Completion {
	runes := []rune(code)
	cursor = min(max(cursor, 0), len(runes))
	before := string(runes[:cursor])
	word, matches := in.complete(before)
	c := jupyter.Completion{Matches: []string{}, Start: cursor - utf8.RuneCountInString(word), End: cursor}
	slices.Sort(matches)
	for _, m := range slices.Compact(matches) {
		if strings.HasPrefix(m, word) || strings.HasPrefix(m, "%"+word) {
			c.Matches = append(c.Matches, m)
			c.Types = append(c.Types, in.kind(m))
		}
	}
	return c
}

// complete finds the word that ends the code, and what it could become.
func (in *Interpreter) complete(code string) (word string, matches []string) {
	if steps := parseCell(code); len(steps) == 1 && steps[0].cell && strings.HasSuffix(code, steps[0].body) &&
		strings.Contains(strings.TrimLeft(code, " \t\r\n"), "\n") {
		return in.completeBody(steps[0])
	}
	line := code
	for { // back to the start of the line, over backslashes
		n := strings.LastIndexByte(line, '\n')
		if n < 0 || !strings.HasSuffix(strings.TrimRight(line[:n], "\r"), `\`) {
			line = line[n+1:]
			break
		}
		line = line[:n-1] + "  " + line[n+1:]
	}
	line = strings.TrimLeft(line, " \t")
	switch {
	case strings.HasPrefix(line, "!"):
		word = lastWord(line[1:])
		return word, files(word, "")
	case strings.HasPrefix(line, "?"):
		word = strings.TrimLeft(line, "? ")
		if strings.HasPrefix(word, "%") {
			return word, magicForms(word)
		}
		return word, slices.Concat(magicNames(), functionNames(), in.vars.Names())
	}
	m := magicForm.FindStringSubmatch(line)
	if m == nil || m[0] == line { // the name itself
		if strings.ContainsAny(line, " \t") {
			return "", nil
		}
		return line, magicForms(line)
	}
	return in.completeArgs(m[2], line[len(m[0]):])
}

// magicForms are the magics as they are written, with one % or two.
func magicForms(prefix string) (forms []string) {
	for _, m := range Magics() {
		if m.Cell && (strings.HasPrefix(prefix, "%%") || !m.Line) {
			forms = append(forms, "%%"+m.Name)
		}
		if m.Line {
			forms = append(forms, "%"+m.Name)
		}
	}
	return forms
}

func (in *Interpreter) completeBody(s step) (string, []string) {
	switch s.name {
	case "tensor":
		return in.completeArgs("tensor", " "+s.body)
	case "time":
		return in.complete(s.body)
	case "bash":
		line := s.body[strings.LastIndexByte(s.body, '\n')+1:]
		word := lastWord(line)
		return word, files(word, "")
	}
	return "", nil
}

// completeArgs completes behind a magic's name.
func (in *Interpreter) completeArgs(name, args string) (word string, matches []string) {
	m := registry[name]
	if m == nil {
		return "", nil
	}
	args = strings.TrimLeft(args, " \t")
	c := Completing{Before: args}
	if m.Raw {
		if name == "time" {
			return in.complete(args)
		}
		c.Word = args[len(strings.TrimRightFunc(args, isNameRune)):]
	} else {
		c.Word = lastWord(args)
		c.Words = strings.Fields(args[:len(args)-len(c.Word)])
		if matches, ok := in.completeFlag(m, c); ok {
			return c.Word, matches
		}
	}
	if m.Complete == nil {
		return c.Word, nil
	}
	return c.Word, m.Complete(in, c)
}

// completeFlag completes a flag's name or value; ok is false elsewhere.
func (in *Interpreter) completeFlag(m *Magic, c Completing) (matches []string, ok bool) {
	flags := m.flagSet()
	if strings.HasPrefix(c.Word, "-") {
		flags.VisitAll(func(f *pflag.Flag) { matches = append(matches, "--"+f.Name) })
		return matches, true
	}
	if len(c.Words) == 0 {
		return nil, false
	}
	f := flags.Lookup(strings.TrimPrefix(c.Words[len(c.Words)-1], "--"))
	if f == nil || !strings.HasPrefix(c.Words[len(c.Words)-1], "--") || f.NoOptDefVal != "" {
		return nil, false
	}
	switch f.Name {
	case "model":
		if m.Name == "load" { // what a server calls it
			return nil, true
		}
		return in.models.names(), true
	case "var", "as":
		return in.vars.Names(), true
	case "type", "quantize":
		return quantize.Names(), true
	case "cache-type":
		return []string{"f16", "bf16", "q8_0", "f32"}, true
	case "tools":
		return c.files(".json"), true
	}
	return nil, true
}

func isNameRune(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// lastWord is what stands behind the last blank that no backslash escapes.
func lastWord(s string) string {
	for i := len(s) - 1; i >= 0; i-- {
		if (s[i] == ' ' || s[i] == '\t') && (i == 0 || s[i-1] != '\\') {
			return s[i+1:]
		}
	}
	return s
}

// files proposes files that end in suffix, and folders, for c's word.
func (c Completing) files(suffix string) []string { return files(c.Word, suffix) }

func files(word, suffix string) (matches []string) {
	dir, base := filepath.Split(strings.ReplaceAll(word, `\ `, " "))
	look := catalog.InHome(dir)
	if look == "" {
		look = "."
	}
	entries, _ := os.ReadDir(look)
	for _, e := range entries {
		info, err := os.Stat(filepath.Join(look, e.Name()))
		if err != nil || strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(base, ".") {
			continue
		}
		path := strings.ReplaceAll(dir+e.Name(), " ", `\ `)
		switch {
		case info.IsDir():
			matches = append(matches, path+"/")
		case suffix != "/" && strings.HasSuffix(strings.ToLower(e.Name()), suffix):
			matches = append(matches, path)
		}
	}
	return matches
}

// completeTensor proposes what may follow in a %tensor statement.
func completeTensor(in *Interpreter, c Completing) []string {
	head := strings.TrimSuffix(c.Before, c.Word)
	if strings.HasSuffix(head, ".") && len(head) > 1 && !strings.ContainsAny(head[len(head)-2:len(head)-1], "0123456789 ") ||
		strings.HasSuffix(head, ".") && isVariableBefore(in, head) {
		return expr.Members()
	}
	names := append(functionNames(), in.vars.Names()...)
	for _, d := range tensor.DTypes() {
		names = append(names, d.String())
	}
	for _, d := range in.devices.known() {
		names = append(names, d.Name())
	}
	if open := strings.LastIndexByte(head, '('); open > strings.LastIndexByte(head, ')') {
		names = append(names, "dtype=", "device=", "dim=", "seed=")
	} else {
		names = append(names, "print", "del", "list", "create")
	}
	return names
}

// isVariableBefore says whether a variable's name stands before the point that
// ends head, as in "A1.".
func isVariableBefore(in *Interpreter, head string) bool {
	head = strings.TrimSuffix(head, ".")
	_, ok := in.vars.Get(head[len(strings.TrimRightFunc(head, isNameRune)):])
	return ok
}

// kind is the type of a match, which front ends show as an icon.
func (in *Interpreter) kind(match string) string {
	if _, ok := in.vars.Get(match); ok {
		return "instance"
	}
	switch {
	case strings.HasPrefix(match, "%"):
		return "magic"
	case strings.HasPrefix(match, "--") || strings.HasSuffix(match, "="):
		return "param"
	case strings.Contains(match, "/"):
		return "path"
	case expr.Lookup(match) != nil:
		return "function"
	case expr.Attribute(match) != "":
		return "property"
	}
	return "text"
}

// Inspect explains what is at the cursor, or the magic of its line.
func (in *Interpreter) Inspect(_ context.Context, code string, cursor, _ int) jupyter.Bundle {
	runes := []rune(code)
	cursor = min(max(cursor, 0), len(runes))
	part := func(r rune) bool { return isNameRune(r) || r == '%' || r == '-' }
	start := cursor
	for start > 0 && !part(runes[start-1]) && runes[start-1] != '\n' { // behind softmax(
		start--
	}
	end := start
	for start > 0 && part(runes[start-1]) {
		start--
	}
	for end < len(runes) && part(runes[end]) && end >= cursor {
		end++
	}
	word := string(runes[start:end])
	lineStart := start
	for lineStart > 0 && runes[lineStart-1] != '\n' {
		lineStart--
	}
	line := strings.TrimLeft(string(runes[lineStart:]), " \t")
	form := magicForm.FindStringSubmatch(line)
	if form == nil {
		if steps := parseCell(code); len(steps) == 1 && steps[0].cell {
			form = []string{"", "", steps[0].name}
		}
	}
	if form != nil {
		if b := describeFlag(registry[form[2]], word); b != nil {
			return b
		}
	}
	for _, id := range []string{word, strings.Trim(word, "%-")} {
		if b := in.describe(id); id != "" && b != nil {
			return b
		}
	}
	if form != nil && registry[form[2]] != nil {
		return registry[form[2]].describe()
	}
	return nil
}

func describeFlag(m *Magic, word string) jupyter.Bundle {
	name, ok := strings.CutPrefix(word, "--")
	if m == nil || !ok {
		return nil
	}
	f := m.flagSet().Lookup(name)
	if f == nil {
		return nil
	}
	kind, usage := flagUsage(f)
	return page(strings.TrimSpace("--"+f.Name+" "+kind), usage, "")
}
