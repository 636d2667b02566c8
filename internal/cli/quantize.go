package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/install"
	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/internal/export"
	"github.com/llcuda/llcuda/internal/quantize"
	"github.com/llcuda/llcuda/magics"
)

// exportFlags say in which form a model is written.
type exportFlags struct{ magics.ExportOptions }

func (ef *exportFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&ef.Imatrix, "imatrix", "", "spend the bits where this importance matrix says, a `file` of llcuda imatrix or llama.cpp")
	f.StringVar(&ef.Split, "split-max-size", "", "write several files of at most so many `bytes` of numbers: 2G, 500M")
	f.BoolVar(&ef.Force, "force", false, "write over a file that is there")
}

// newQuantize writes a model's file anew in other types.
func newQuantize() *cobra.Command {
	var ef exportFlags
	cmd := &cobra.Command{
		Use:   "quantize IN OUT.gguf --type TYPE",
		Short: "Write a model in other types: smaller, or as floats",
		Long: `Quantize writes a GGUF file with the numbers of another one, or of a checkpoint's
folder, in other types: by llcuda's own encoders, with llama.cpp's choice of a type for
each tensor. The types are
` + typeNames() + `.
OUT gets its name when it is complete, and is checked.`,
		Args: exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if ef.Type == "" {
				return usageError{fmt.Errorf("quantize: --type is missing; there are %s", strings.Join(quantize.Names(), ", "))}
			}
			in, err := openGGUF(args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			return ef.write(cmd, in, args[1])
		},
	}
	cmd.Flags().StringVar(&ef.Type, "type", "", "the `type` of most tensors, and the rule for the others")
	completeNames(cmd, "type", quantize.Names())
	ef.add(cmd)
	return cmd
}

// newExport writes a model, with its adapters, as GGUF.
func newExport() *cobra.Command {
	var af adapterFlags
	var ef exportFlags
	var python bool
	cmd := &cobra.Command{
		Use:   "export MODEL OUT.gguf",
		Short: "Write a model as GGUF, with adapters in its weights",
		Long: `Export writes any model that llcuda runs as a GGUF file, for llama.cpp and all that
reads its files: a folder that transformers or Unsloth saved, one of an adapter (its base
is found by the name it states), a model with --adapter. Without --type the numbers stay
in the types they have. The types are
` + typeNames() + `.
OUT gets its name when it is complete, and is checked.

--python prints llcuda_export.py instead, a module for the Python side: it gives models of
Unsloth, PEFT and transformers save_pretrained_llcuda(FOLDER, tokenizer), which saves what
export, infer and %load take.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if python {
				return exactly(0)(cmd, args)
			}
			return exactly(2)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if python {
				_, err := cmd.OutOrStdout().Write(install.PythonExport)
				return err
			}
			in, adapters, err := af.find(cmd, catalog.Query{Name: args[0]})
			if err != nil {
				return err
			}
			if in, err = merged(cmd, in, adapters); err != nil {
				return err
			}
			defer in.Close()
			return ef.write(cmd, in, args[1])
		},
	}
	cmd.Flags().StringVar(&ef.Type, "type", "", "the `type` of most tensors, and the rule for the others (default: as they are)")
	completeNames(cmd, "type", quantize.Names())
	ef.add(cmd)
	af.addAdapters(cmd)
	cmd.Flags().BoolVar(&python, "python", false, "print llcuda_export.py, for the Python side")
	return cmd
}

// typeNames lists the types in lines.
func typeNames() string {
	names := quantize.Names()
	return strings.Join(names[:10], ", ") + ",\n" + strings.Join(names[10:], ", ")
}

// write writes a model, with progress on standard error, and says what there is
// then.
func (ef *exportFlags) write(cmd *cobra.Command, in *gguf.File, path string) error {
	f, out, err := ef.Prepare(in)
	if err != nil {
		return usageError{err}
	}
	p := &progress{w: cmd.ErrOrStderr(), what: filepath.Base(path), live: isTerminal(cmd.ErrOrStderr())}
	out.Progress = p.update
	r, err := export.File(cmd.Context(), f, path, out)
	p.end()
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), magics.ExportText(in, f, r))
	return err
}
