package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/magics"
)

// embedResult is what --json prints.
type embedResult struct {
	Model      string      `json:"model"`
	Pooling    string      `json:"pooling,omitempty"` // an endpoint does not tell
	Dimensions int         `json:"dimensions"`
	Tokens     int         `json:"tokens"`
	Vectors    [][]float32 `json:"vectors"`
}

// newEmbed makes vectors of texts, as %embed does.
func newEmbed() *cobra.Command {
	var mf modelFlags
	var file, npy, pooling string
	var truncate, asJSON bool
	cmd := &cobra.Command{
		Use:   "embed MODEL [TEXT… | --file F]",
		Short: "Vectors of texts, and their cosines",
		Long: `Embed makes a vector of length 1 of each text: the arguments, or the lines of --file
or of standard input, but for empty ones. It prints the numbers of one text's vector,
or the cosines of several texts; --json prints the vectors, --npy F writes them as
the rows of a NumPy file. Any model will do; encoders (BERT, BGE, MiniLM, E5, Nomic)
are made for it. MODEL may be the address of a server that speaks OpenAI's API,
http://host:8000/v1 (--model, --key-env, --extra).`,
		Args: between(1, math.MaxInt),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 && file != "" {
				return usageError{errors.New("embed: want one of TEXT and --file")}
			}
			p, err := engine.ParsePooling(pooling)
			if err != nil {
				return usageError{fmt.Errorf("embed: --pooling %s: want mean, cls, last or auto", pooling)}
			}
			texts, err := embedTexts(cmd, args[1:], file)
			if err != nil {
				return err
			}
			var r embedResult
			if magics.IsAddress(args[0]) {
				r, err = embedCells(cmd, &mf, args[0], texts)
			} else {
				r, err = embed(cmd, &mf, args[0], texts, engine.EmbedOptions{Pooling: p}, truncate)
			}
			switch {
			case err != nil:
				return err
			case npy != "":
				return writeVectors(npy, r.Vectors)
			case asJSON:
				return encodeJSON(cmd.OutOrStdout(), r)
			}
			return printVectors(cmd.OutOrStdout(), r.Vectors)
		},
	}
	mf.add(cmd)
	f := cmd.Flags()
	f.StringVar(&file, "file", "", "read the texts from this file, one a line")
	f.StringVar(&npy, "npy", "", "write the vectors to this NumPy `file`")
	f.StringVar(&pooling, "pooling", "auto", "auto (the model's), mean, cls or last")
	f.BoolVar(&truncate, "truncate", false, "cut texts off that are too long for the model")
	f.BoolVar(&asJSON, "json", false, "print the vectors in one JSON object")
	f.AddFlag(magicFlags("load").Lookup("model"))
	f.AddFlag(magicFlags("load").Lookup("key-env"))
	f.AddFlag(magicFlags("embed").Lookup("extra"))
	return cmd
}

// embedTexts are the arguments, or the lines of what is read instead.
func embedTexts(cmd *cobra.Command, args []string, file string) ([]string, error) {
	if len(args) > 0 {
		return args, nil
	}
	all, err := inputText(cmd, nil, file)
	if err != nil {
		return nil, err
	}
	var texts []string
	for line := range strings.Lines(all) {
		if line = strings.TrimSpace(line); line != "" {
			texts = append(texts, line)
		}
	}
	if len(texts) == 0 {
		return nil, usageError{errors.New("embed: no texts; give one a line")}
	}
	return texts, nil
}

func embed(cmd *cobra.Command, mf *modelFlags, model string, texts []string, o engine.EmbedOptions, truncate bool) (r embedResult, err error) {
	for _, flag := range []string{"model", "key-env", "extra"} {
		if cmd.Flags().Changed(flag) {
			return r, usageError{fmt.Errorf("embed: --%s goes with an address: http://host:8000/v1", flag)}
		}
	}
	m, err := mf.open(cmd, model)
	if err != nil {
		return r, err
	}
	defer m.Close()
	if truncate {
		o.Cut = func(text, tokens int) {
			fmt.Fprintf(cmd.ErrOrStderr(), "llcuda: text %d had %d tokens and was cut to %d\n", text+1, tokens, m.Info().Context)
		}
	}
	e, err := m.NewEmbedder(o)
	if err != nil {
		return r, err
	}
	defer e.Close()
	r = embedResult{Model: m.Info().Name, Pooling: e.Pooling().String(), Dimensions: e.Dim()}
	if r.Vectors, r.Tokens, err = e.Embed(cmd.Context(), texts); errors.Is(err, engine.ErrContextFull) {
		err = fmt.Errorf("%w (--truncate)", err)
	}
	return r, err
}

// embedCells has a server make the vectors: %load and %embed in a terminal.
// Texts are lines there: line breaks become blanks.
func embedCells(cmd *cobra.Command, mf *modelFlags, address string, texts []string) (r embedResult, err error) {
	var lines []string
	for i, t := range texts {
		if t = strings.Join(strings.Fields(t), " "); t == "" {
			return r, usageError{fmt.Errorf("embed: text %d is empty", i+1)}
		}
		lines = append(lines, t)
	}
	var object bytes.Buffer
	t := newCells(mf, &object, cmd.ErrOrStderr())
	defer t.in.Close()
	if err := t.execute(cmd.Context(), loadCell(cmd, address, false, true)); err != nil {
		return r, err
	}
	cell := "%%embed --json" + changed(some(cmd.Flags(), []string{"pooling", "truncate", "extra"})) + "\n" + strings.Join(lines, "\n")
	if err := errors.Join(t.execute(cmd.Context(), cell), cmd.Context().Err()); err != nil {
		return r, err
	}
	return r, json.Unmarshal(object.Bytes(), &r)
}

func writeVectors(path string, vectors [][]float32) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w, err := newNPY(f, len(vectors), len(vectors[0]))
	if err == nil {
		for _, v := range vectors {
			w.Row(v)
		}
		err = w.Flush()
	}
	return errors.Join(err, f.Close())
}

// printVectors prints one vector's numbers, or the cosines of several.
func printVectors(w io.Writer, vectors [][]float32) error {
	b := bufio.NewWriter(w)
	if len(vectors) == 1 {
		for _, x := range vectors[0] {
			fmt.Fprintf(b, "%.7g\n", x)
		}
		return b.Flush()
	}
	for _, v := range vectors {
		for j, u := range vectors {
			sum := 0.0
			for i, x := range v {
				sum += float64(x) * float64(u[i])
			}
			if j > 0 {
				b.WriteByte(' ')
			}
			fmt.Fprintf(b, "%6.3f", sum)
		}
		b.WriteByte('\n')
	}
	return b.Flush()
}
