package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/gguf"
)

// newGGUF groups what can be done with a model's file without running it.
func newGGUF() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gguf",
		Short: "Look into a model's file",
		Args:  usageArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newGGUFShow(), newGGUFCheck())
	return cmd
}

func newGGUFShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show MODEL",
		Short: "Metadata and tensors",
		Args:  exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := openGGUF(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			if asJSON {
				return encodeJSON(cmd.OutOrStdout(), describe(f))
			}
			return f.Show(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, values in full")
	return cmd
}

// describe is a file as JSON shows it.
func describe(f *gguf.File) map[string]any {
	meta := make(map[string]any, len(f.Meta))
	for _, kv := range f.Meta {
		meta[kv.Key] = jsonValue(kv.Value)
	}
	tensors := make([]map[string]any, len(f.Tensors))
	for i := range f.Tensors {
		t := &f.Tensors[i]
		tensors[i] = map[string]any{"name": t.Name, "type": t.DType.String(), "shape": t.Shape, "bytes": t.Bytes()}
	}
	return map[string]any{"version": f.Version, "bytes": f.Size(), "params": f.Params(), "metadata": meta, "tensors": tensors}
}

// jsonValue is a value that JSON can hold: bytes as a list, as of the other
// widths, and floats that are NaN or infinite as text.
func jsonValue(v any) any {
	switch v := v.(type) {
	case float32:
		return jsonFloat(v)
	case float64:
		return jsonFloat(v)
	case []float32:
		return jsonList(v, jsonFloat)
	case []float64:
		return jsonList(v, jsonFloat)
	case []uint8:
		return jsonList(v, func(b uint8) any { return b })
	}
	return v
}

func jsonFloat[T float32 | float64](v T) any {
	if v-v != 0 {
		return fmt.Sprint(v)
	}
	return v
}

func jsonList[T any](list []T, as func(T) any) []any {
	all := make([]any, len(list))
	for i, v := range list {
		all[i] = as(v)
	}
	return all
}

func newGGUFCheck() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check MODEL",
		Short: "Is the file sound? Exit code 1 if a problem is serious",
		Args:  exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := openGGUF(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			return printProblems(cmd.OutOrStdout(), f, args[0], asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printProblems fails when a problem is serious: the others are for the eye.
func printProblems(w io.Writer, f *gguf.File, name string, asJSON bool) error {
	problems, serious, out := gguf.Check(f), 0, []map[string]any{}
	for _, p := range problems {
		out = append(out, map[string]any{"where": p.Where, "what": p.What, "serious": p.Serious})
		if p.Serious {
			serious++
		}
		if !asJSON {
			fmt.Fprintln(w, p)
		}
	}
	if asJSON {
		if err := encodeJSON(w, out); err != nil {
			return err
		}
	}
	if serious > 0 {
		return fmt.Errorf("gguf check: %d serious problems in %s", serious, name)
	}
	if len(problems) == 0 && !asJSON {
		fmt.Fprintf(w, "%s: sound: %d keys, %d tensors\n", name, len(f.Meta), len(f.Tensors))
	}
	return nil
}
