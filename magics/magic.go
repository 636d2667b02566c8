package magics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/jupyter"
	"github.com/llcuda/llcuda/magics/expr"
)

// A Magic is a command of the notebook. This description is all there is to
// it: %lsmagic, %help, name?, completion, inspection and usage errors are made
// from it.
type Magic struct {
	Name string // "load", without %
	Args string // its arguments, for people: "MODEL"
	Doc  string // one line
	Help string // more, as text: examples, one a line, and what to know

	Line, Cell bool // %name and %%name exist

	// Raw magics get their arguments as they were typed: no words are split
	// off and no flags are read.
	Raw bool

	// Prose magics take flags out of running text, which stays as it is.
	Prose bool

	Flags func(f *pflag.FlagSet)
	Run   func(ctx context.Context, c *Call) error

	// Complete proposes what may stand at the end of c.Before.
	Complete func(in *Interpreter, c Completing) []string
}

// A Call is one use of a magic.
type Call struct {
	*Interpreter
	Magic   *Magic
	Flags   *pflag.FlagSet
	Args    []string // words that are no flags; of a Prose or Raw magic the text, if there is any
	Body    string   // of a %%cell
	Cell    bool
	Last    bool // nothing follows in the cell
	Display *jupyter.Display
	cell    jupyter.Cell
}

var registry = map[string]*Magic{}

// register makes a magic known; each file registers its own.
func register(m Magic) {
	if registry[m.Name] != nil || m.Run == nil || m.Doc == "" || !m.Line && !m.Cell {
		panic("magics: " + m.Name + " registered twice or incomplete")
	}
	registry[m.Name] = &m
}

// Magics lists all magics by name.
func Magics() []*Magic {
	return slices.SortedFunc(maps.Values(registry), func(a, b *Magic) int { return strings.Compare(a.Name, b.Name) })
}

// Usage is how a magic is called: "%load MODEL [flags]".
func (m *Magic) Usage() string {
	var forms []string
	args := ""
	if m.flagSet().HasFlags() {
		args += " [flags]"
	}
	if m.Args != "" {
		args += " " + m.Args
	}
	if m.Line {
		forms = append(forms, "%"+m.Name+args)
	}
	if m.Cell {
		forms = append(forms, "%%"+m.Name+args)
	}
	return strings.Join(forms, " or ")
}

func (m *Magic) flagSet() *pflag.FlagSet {
	f := pflag.NewFlagSet("%"+m.Name, pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.SortFlags = false
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
	})
	if m.Flags != nil {
		m.Flags(f)
	}
	return f
}

// parse reads the arguments of a step into c.
func (c *Call) parse(args string) error {
	switch {
	case c.Magic.Raw:
		if args != "" {
			c.Args = []string{args}
		}
		return nil
	case c.Magic.Prose:
		prose, err := takeFlags(c.Flags, strings.ReplaceAll(args, "\\\n", ""))
		if err != nil {
			return c.usage("%v", err)
		}
		if prose != "" {
			c.Args = []string{prose}
		}
		return nil
	}
	words, err := splitWords(args)
	if err != nil {
		return c.usage("%v", err)
	}
	if err := c.Flags.Parse(words); err != nil {
		return c.usage("%s", FlagError(c.Flags, err))
	}
	c.Args = c.Flags.Args()
	return nil
}

// FlagError says pflag's error in words for people, with the flag that may have
// been meant.
func FlagError(f *pflag.FlagSet, err error) string {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		flag := invalid.GetFlag()
		want := "want " + map[string]string{"int": "a whole number", "uint64": "a whole number from 0", "float32": "a number", "float64": "a number",
			"bool": "true or false", "duration": "a time such as 90s or 5m", "intSlice": "whole numbers such as 1,8,32"}[flag.Value.Type()]
		if want == "want " { // a type of our own, with an error of its own
			want = errors.Unwrap(invalid).Error()
		}
		return fmt.Sprintf("--%s %s: %s", flag.Name, invalid.GetValue(), want)
	}
	if _, word, ok := strings.Cut(err.Error(), "unknown shorthand flag: "); ok { // '1' in -1
		_, word, _ = strings.Cut(word, " in ")
		if _, err := strconv.ParseFloat(word, 64); err == nil {
			return word + ": no number below 0 is wanted here"
		}
	}
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return err.Error()
	}
	var known []string
	f.VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	if best := expr.Closest(name, known); best != "" {
		return fmt.Sprintf("unknown flag --%s; did you mean --%s?", name, best)
	}
	return "unknown flag --" + name
}

// usage is the error of a call that does not fit the magic.
func (c *Call) usage(format string, args ...any) error {
	sign := "%"
	if c.Cell {
		sign = "%%"
	}
	return &jupyter.Error{Name: "UsageError", Value: fmt.Sprintf("%s%s: %s; usage: %s; %%%s? says more",
		sign, c.Magic.Name, fmt.Sprintf(format, args...), c.Magic.Usage(), c.Magic.Name)}
}

// atMost refuses more than n arguments.
func (c *Call) atMost(n int) error {
	if len(c.Args) > n {
		return c.usage("%d arguments, at most %d allowed: %q", len(c.Args), n, c.Args[n])
	}
	return nil
}

// takeFlags reads the flags of f out of running text, before or behind it, and
// returns the text as it was typed. A text in quotes is taken out of them, and
// a -- before the text ends the flags.
func takeFlags(f *pflag.FlagSet, args string) (string, error) {
	type piece struct{ start, end int }
	var prose []piece
	var flags []string
	i := 0
	for i < len(args) {
		if c := args[i]; c == ' ' || c == '\t' || c == '\n' {
			i++
			continue
		}
		rest := args[i:]
		switch {
		case len(prose) == 0 && (rest == "--" || strings.HasPrefix(rest, "-- ")):
			prose = append(prose, piece{i + 2, len(args)})
			i = len(args)
		case strings.HasPrefix(rest, "--") && proseWord(rest) > 2: // a lone -- is a dash
			word, n, err := nextWord(rest)
			if err != nil {
				return "", err
			}
			i += n
			flags = append(flags, word)
			name, _, hasValue := strings.Cut(word[2:], "=")
			flag := f.Lookup(name)
			if flag == nil {
				return "", fmt.Errorf("%s; put -- before the text, or the text in quotes, to have it taken as it is",
					FlagError(f, fmt.Errorf("unknown flag: --%s", name)))
			}
			if !hasValue && flag.NoOptDefVal == "" {
				i += len(args[i:]) - len(strings.TrimLeft(args[i:], " \t"))
				if i == len(args) {
					return "", fmt.Errorf("flag --%s needs a value", name)
				}
				value, n, err := nextWord(args[i:])
				if err != nil {
					return "", err
				}
				i += n
				flags = append(flags, value)
			}
		default:
			n := proseWord(rest)
			prose = append(prose, piece{i, i + n})
			i += n
		}
	}
	if err := f.Parse(flags); err != nil {
		return "", errors.New(FlagError(f, err))
	}
	if len(prose) == 1 {
		text := args[prose[0].start:prose[0].end]
		quoted := strings.HasPrefix(text, `"`) || strings.HasPrefix(text, "'")
		if word, n, err := nextWord(text); quoted && err == nil && n == len(text) {
			return word, nil
		}
		return strings.TrimSpace(text), nil
	}
	// Flags in the middle leave the text around them, with one blank between.
	var b strings.Builder
	for i, p := range prose {
		if i > 0 {
			if between := args[prose[i-1].end:p.start]; strings.TrimSpace(between) == "" {
				b.WriteString(between)
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteString(args[p.start:p.end])
	}
	return strings.TrimSpace(b.String()), nil
}

// proseWord is the length of a word of running text: apostrophes are letters
// unless they open a quotation that also ends at a blank.
func proseWord(s string) int {
	if s[0] == '"' || s[0] == '\'' {
		if end := strings.IndexByte(s[1:], s[0]); end >= 0 {
			if n := end + 2; n == len(s) || s[n] == ' ' || s[n] == '\t' || s[n] == '\n' {
				return n
			}
		}
	}
	if n := strings.IndexAny(s, " \t\n"); n >= 0 {
		return n
	}
	return len(s)
}
