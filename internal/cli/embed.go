package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine"
)

// embedResult is what --json prints.
type embedResult struct {
	Model      string      `json:"model"`
	Pooling    string      `json:"pooling"`
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
are made for it.`,
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
			m, err := mf.open(cmd, args[0])
			if err != nil {
				return err
			}
			defer m.Close()
			o := engine.EmbedOptions{Pooling: p}
			if truncate {
				o.Cut = func(text, tokens int) {
					fmt.Fprintf(cmd.ErrOrStderr(), "llcuda: text %d had %d tokens and was cut to %d\n", text+1, tokens, m.Info().Context)
				}
			}
			r, err := embed(cmd, m, texts, o)
			switch {
			case errors.Is(err, engine.ErrContextFull):
				return fmt.Errorf("%w (--truncate)", err)
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
		return nil, errors.New("embed: no texts; give one a line")
	}
	return texts, nil
}

func embed(cmd *cobra.Command, m *engine.Model, texts []string, o engine.EmbedOptions) (r embedResult, err error) {
	e, err := m.NewEmbedder(o)
	if err != nil {
		return r, err
	}
	defer e.Close()
	r = embedResult{Model: m.Info().Name, Pooling: e.Pooling().String(), Dimensions: e.Dim()}
	r.Vectors, r.Tokens, err = e.Embed(cmd.Context(), texts)
	return r, err
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
