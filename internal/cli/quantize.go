package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/export"
	"github.com/llcuda/llcuda/internal/quantize"
	"github.com/llcuda/llcuda/magics"
)

// newQuantize writes a model's file anew in other types.
func newQuantize() *cobra.Command {
	var typ, imatrix string
	var o export.Options
	cmd := &cobra.Command{
		Use:   "quantize IN OUT.gguf --type TYPE",
		Short: "Write a model in other types: smaller, or as floats",
		Long: `Quantize writes a GGUF file with the numbers of another one in other types: by
llcuda's own encoders, with llama.cpp's choice of a type for each tensor. Types:
` + strings.Join(quantize.Names(), ", ") + `.
OUT gets its name when it is complete, and is checked.`,
		Args: exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if typ == "" {
				return usageError{fmt.Errorf("quantize: --type is missing; there are %s", strings.Join(quantize.Names(), ", "))}
			}
			mix, err := quantize.ParseMix(typ)
			if err != nil {
				return usageError{err}
			}
			in, err := openGGUF(args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			qo, err := quantizeOptions(mix, imatrix)
			if err != nil {
				return err
			}
			f, err := quantize.File(in, qo)
			if err != nil {
				return err
			}
			return exportFile(cmd, f, args[1], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&typ, "type", "", "the `type` of most tensors, and the rule for the others")
	f.StringVar(&imatrix, "imatrix", "", "spend the bits where this importance matrix says, a `file` of llcuda imatrix or llama.cpp")
	f.BoolVar(&o.Force, "force", false, "write over a file that is there")
	return cmd
}

// quantizeOptions are a mix with the importance matrix of a file, if there is one.
func quantizeOptions(mix quantize.Mix, imatrix string) (o quantize.Options, err error) {
	o.Mix = mix
	if imatrix != "" {
		o.Name = filepath.Base(imatrix)
		o.Importance, err = quantize.ReadImportance(imatrix)
	}
	return o, err
}

// exportFile writes a model, with progress on standard error, and says what
// there is then.
func exportFile(cmd *cobra.Command, f *gguf.File, path string, o export.Options) error {
	p := &progress{w: cmd.ErrOrStderr(), what: path, live: isTerminal(cmd.ErrOrStderr())}
	o.Progress = p.update
	r, err := export.File(cmd.Context(), f, path, o)
	p.end()
	if err != nil {
		return err
	}
	for _, problem := range r.Problems {
		fmt.Fprintln(cmd.ErrOrStderr(), problem)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", strings.Join(r.Paths, ", "), magics.BytesText(r.Bytes))
	return err
}
