package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/internal/quantize"
	"github.com/llcuda/llcuda/jupyter"
	"github.com/llcuda/llcuda/magics"
)

// newChat is %load and %chat in a terminal, or in a pipe.
func newChat() *cobra.Command {
	load, talk := magicFlags("load", "as", "silent"), magicFlags("chat", "model", "var", "tool-result")
	cmd := &cobra.Command{
		Use:   "chat MODEL [MESSAGE…]",
		Short: "Talk with a model",
		Long: `Chat loads a model and answers each line of standard input, or one message given as
arguments; a line that ends in a backslash goes on. Answers go to standard output,
all else to standard error. /new, /show, /undo, /save FILE and /load FILE are those of
%chat; a line that begins with % is executed as in a notebook; /exit or Ctrl-D ends it.
Ctrl-C stops an answer and keeps what came.`,
		Args: between(1, math.MaxInt),
		RunE: func(cmd *cobra.Command, args []string) error {
			t := &talker{in: newInterpreter(), out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), flags: changed(talk)}
			defer t.in.Close()
			// An interrupt ends an answer and not the program.
			ctx := context.WithoutCancel(cmd.Context())
			t.signals = make(chan os.Signal, 1)
			signal.Notify(t.signals, os.Interrupt, syscall.SIGTERM)
			defer signal.Stop(t.signals)
			if err := t.execute(ctx, "%load "+quote(args[0])+changed(load)); err != nil {
				return err
			}
			if len(args) > 1 {
				return t.execute(ctx, "%%chat"+t.flags+"\n"+strings.Join(args[1:], " "))
			}
			return t.talk(ctx, cmd.InOrStdin())
		},
	}
	cmd.Flags().AddFlagSet(load)
	cmd.Flags().AddFlagSet(talk)
	completeNames(cmd, "quantize", quantize.Names())
	completeNames(cmd, "cache-type", cacheTypes())
	return cmd
}

// magicFlags are the flags of a magic but some.
func magicFlags(name string, but ...string) *pflag.FlagSet {
	all, some := pflag.NewFlagSet(name, pflag.ContinueOnError), pflag.NewFlagSet(name, pflag.ContinueOnError)
	for _, m := range magics.Magics() {
		if m.Name == name {
			m.Flags(all)
		}
	}
	all.VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(but, f.Name) {
			some.AddFlag(f)
		}
	})
	return some
}

// changed are the flags that were given, as a cell has them.
func changed(f *pflag.FlagSet) string {
	var b strings.Builder
	f.VisitAll(func(f *pflag.Flag) { // Visit knows only what this set has parsed
		if !f.Changed {
			return
		}
		values := []string{f.Value.String()}
		if s, ok := f.Value.(pflag.SliceValue); ok {
			values = s.GetSlice()
		}
		for _, v := range values {
			fmt.Fprintf(&b, " --%s=%s", f.Name, quote(v))
		}
	})
	return b.String()
}

// quote makes one word of a cell of s.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'" }

// A talker executes the lines of a conversation as cells.
type talker struct {
	in       *magics.Interpreter
	out, err io.Writer
	flags    string // of %chat, for the first message; those that stay are the conversation's then
	signals  chan os.Signal
	live     map[string]string // what displays that change have printed, by id
	open     bool              // the last of them has not ended its line
	shell    bool              // nobody sees cells: errors are said in a shell's words
	cut      bool              // the last text is not what --schema or --grammar asks for
}

func (t *talker) talk(ctx context.Context, stdin io.Reader) error {
	prompt, person := "", isTerminal(stdin)
	if person {
		prompt = "> "
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		r := bufio.NewReader(stdin)
		for {
			line, err := r.ReadString('\n')
			if line != "" {
				lines <- strings.TrimRight(line, "\r\n")
			}
			if err != nil {
				return
			}
		}
	}()
	var failed error
	for message := ""; ; {
		fmt.Fprint(t.err, prompt)
		select {
		case <-t.signals:
			fmt.Fprintln(t.err)
			return failed
		case line, ok := <-lines:
			if !ok && message == "" {
				return failed
			}
			if part, more := strings.CutSuffix(line, `\`); more && ok {
				message += part + "\n"
				continue
			}
			cell := t.cell(message + line)
			message = ""
			if cell == "/exit" {
				return failed
			}
			if cell == "" {
				continue
			}
			if err := t.execute(ctx, cell); err != nil {
				if !person && failed == nil {
					failed = err
				} else {
					fmt.Fprintln(t.err, err)
				}
			}
		}
	}
}

// cell is what a line executes.
func (t *talker) cell(line string) string {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch {
	case word == "":
		return ""
	case word == "/exit" || word == "/quit" || word == "/bye":
		return "/exit"
	case slices.Contains([]string{"/new", "/show", "/undo", "/save", "/load"}, word):
		return strings.TrimSpace("%chat " + word[1:] + " " + rest)
	case strings.HasPrefix(word, "%"):
		return line
	}
	return "%%chat" + t.flags + "\n" + line
}

// execute runs a cell until it ends or a signal stops it.
func (t *talker) execute(ctx context.Context, code string) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		select {
		case s := <-t.signals:
			cancel()
			if s == syscall.SIGTERM {
				t.signals <- s
			}
		case <-done:
		}
	}()
	d := jupyter.NewDisplay(t)
	err := t.in.Execute(ctx, jupyter.Cell{Code: code}, d)
	d.Flush()
	close(done)
	cancel()
	if t.open {
		fmt.Fprintln(t.err)
		t.open = false
	}
	var e *jupyter.Error
	if errors.As(err, &e) {
		switch e.Name {
		case "KeyboardInterrupt":
			return nil // the line of figures says so
		case "UsageError":
			if t.shell {
				what, _, _ := strings.Cut(e.Value, "; usage: ")
				return usageError{errors.New(onCommandLine.Replace(strings.TrimLeft(what, "%")))}
			}
			return usageError{errors.New(e.Value)}
		}
		return errors.New(onCommandLine.Replace(e.Value))
	}
	return err
}

// Interactive reports whether somebody sees displays change.
func (t *talker) Interactive() bool {
	f, ok := t.err.(*os.File)
	return ok && isTerminal(f)
}

// Send prints what a cell shows.
func (t *talker) Send(msgType string, content map[string]any) {
	transient, _ := content["transient"].(map[string]any)
	id, _ := transient["display_id"].(string)
	data, _ := content["data"].(map[string]any)
	text, _ := data["text/plain"].(string)
	if id != "" && t.Interactive() {
		t.update(id, text)
		return
	}
	if t.open {
		fmt.Fprintln(t.err)
		t.open = false
	}
	switch msgType {
	case "stream":
		w := t.out
		if content["name"] == "stderr" {
			w = t.err
		}
		io.WriteString(w, content["text"].(string))
	case "display_data", "execute_result", "update_display_data":
		t.cut = strings.Contains(text, magics.CutText)
		fmt.Fprintln(t.err, text)
	}
}

// update prints what a display that changes has more than before: lines below
// its first one, or that one again.
func (t *talker) update(id, text string) {
	if t.live == nil {
		t.live = map[string]string{}
	}
	_, body, several := strings.Cut(text, "\n")
	before, again := t.live[id]
	more, grown := strings.CutPrefix(body, before)
	switch {
	case !several:
		fmt.Fprint(t.err, "\r\033[K"+text)
	case again && grown:
		fmt.Fprint(t.err, more)
	default:
		fmt.Fprint(t.err, text)
	}
	t.live[id], t.open = body, true
}

func isTerminal(r any) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
