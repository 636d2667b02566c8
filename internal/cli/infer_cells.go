package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/engine/demo"
	"github.com/llcuda/llcuda/magics"
	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu"
)

// Answering a file of prompts, and asking a server, are %load and %infer in a
// terminal.

// A tokensOrFile is --batch: a number is of tokens, all else a file of prompts.
type tokensOrFile struct {
	tokens *int
	file   string
}

func (b *tokensOrFile) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil {
		b.file = s
		return nil
	}
	*b.tokens = n
	return nil
}

func (b *tokensOrFile) Type() string { return "file" }

func (b *tokensOrFile) String() string {
	if b.file != "" || b.tokens == nil || *b.tokens == 0 {
		return b.file
	}
	return strconv.Itoa(*b.tokens)
}

// addCellFlags adds the flags that only %load and %infer know.
func addCellFlags(cmd *cobra.Command, mf *modelFlags) *tokensOrFile {
	b, f := &tokensOrFile{tokens: &mf.batch}, cmd.Flags()
	flag := f.Lookup("batch")
	flag.Value, flag.DefValue = b, ""
	flag.Usage = "answer the lines of this JSONL `file`, each {\"prompt\": …} or {\"messages\": …}; or a number: tokens of a prompt computed together (default 512)"
	for _, set := range []*pflag.FlagSet{magicFlags("infer"), magicFlags("load", "file")} {
		for _, name := range []string{"output", "parallel", "extra", "key-env"} {
			if flag := set.Lookup(name); flag != nil {
				f.AddFlag(flag)
			}
		}
	}
	f.AddFlag(magicFlags("load").Lookup("model"))
	return b
}

// newCells executes the cells of a command.
func newCells(mf *modelFlags, out, err io.Writer) *talker {
	o := magics.Options{Version: Version, Demo: demo.Open, Cards: openCards, GPU: gpuCards}
	if mf.threads > 0 {
		o.Devices = []tensor.Device{cpu.New(mf.threads)}
	}
	return &talker{in: magics.New(o), out: out, err: err, shell: true}
}

// inCells reports whether a command is one for cells.
func inCells(cmd *cobra.Command, b *tokensOrFile, model string) bool {
	return b.file != "" || slices.ContainsFunc([]string{"output", "parallel", "extra", "key-env", "model"}, cmd.Flags().Changed) || magics.IsAddress(model)
}

// inferCells loads the model and answers the file of prompts, or the prompt
// where there is none.
func inferCells(cmd *cobra.Command, mf *modelFlags, b *tokensOrFile, args []string, file string) error {
	if _, err := mf.check(); err != nil {
		return usageError{err}
	}
	prompt := ""
	switch {
	case b.file != "" && (len(args) > 1 || file != ""):
		return usageError{errors.New("infer: --batch has the prompts; leave PROMPT and --file out")}
	case b.file != "" && !cmd.Flags().Changed("output"):
		return usageError{errors.New("infer: --output FILE is missing: where do the answers go?")}
	case b.file != "": // known before a model is loaded for it
		f, err := os.Open(b.file)
		if err != nil {
			return fmt.Errorf("infer: --batch: %w", err)
		}
		f.Close()
	default:
		var words []string
		if len(args) > 1 {
			words = []string{strings.Join(args[1:], " ")}
		}
		var err error
		if prompt, err = inputText(cmd, words, file); err != nil {
			return err
		}
	}
	t := newCells(mf, cmd.OutOrStdout(), cmd.ErrOrStderr())
	defer t.in.Close()
	asJSON, _ := cmd.Flags().GetBool("json")
	if err := t.execute(cmd.Context(), loadCell(cmd, args[0], b.file != "", asJSON || b.file == "")); err != nil {
		return err
	}
	asking := names("infer", "batch", "model", "var", "stop")
	if b.file != "" {
		asking = append(asking, "batch")
	}
	cell := "%%infer" + oneLine(changed(some(cmd.Flags(), asking)), " ") + oneLine(changed(some(cmd.Flags(), []string{"stop"})), `\n`) + "\n" + prompt
	var object bytes.Buffer
	t.out = io.MultiWriter(t.out, &object)
	err := errors.Join(t.execute(cmd.Context(), cell), cmd.Context().Err())
	var whole struct{ Complete *bool } // of --json
	if json.Unmarshal(object.Bytes(), &whole) == nil && whole.Complete != nil {
		t.cut = !*whole.Complete
	}
	if err == nil && t.cut {
		err = errCut
	}
	return err
}

// loadCell is %load of a model, with the flags of the command that it has;
// batch says that --batch is not one of them.
func loadCell(cmd *cobra.Command, model string, batch, silent bool) string {
	flags := names("load", "file", "as", "silent")
	if batch {
		flags = names("load", "file", "as", "silent", "batch")
	}
	cell := "%load " + quote(model) + changed(some(cmd.Flags(), flags))
	if silent {
		cell += " --silent"
	}
	return cell
}

// names are those of a magic's flags.
func names(magic string, but ...string) (all []string) {
	magicFlags(magic, but...).VisitAll(func(f *pflag.Flag) { all = append(all, f.Name) })
	return all
}

// oneLine replaces line breaks: flags stand in the first line of a cell.
func oneLine(s, by string) string { return strings.ReplaceAll(s, "\n", by) }

// some are the flags of these names.
func some(f *pflag.FlagSet, names []string) *pflag.FlagSet {
	s := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, name := range names {
		if flag := f.Lookup(name); flag != nil {
			s.AddFlag(flag)
		}
	}
	return s
}
