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
	var e *jupyter.Error
	if errors.As(err, &e) {
		switch e.Name {
		case "KeyboardInterrupt":
			return nil // the line of figures says so
		case "UsageError":
			return usageError{errors.New(e.Value)}
		}
		return errors.New(onCommandLine.Replace(e.Value))
	}
	return err
}

// Send prints what a cell shows.
func (t *talker) Send(msgType string, content map[string]any) {
	switch msgType {
	case "stream":
		w := t.out
		if content["name"] == "stderr" {
			w = t.err
		}
		io.WriteString(w, content["text"].(string))
	case "display_data", "execute_result", "update_display_data":
		data, _ := content["data"].(map[string]any)
		text, _ := data["text/plain"].(string)
		fmt.Fprintln(t.err, text)
	}
}

func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
