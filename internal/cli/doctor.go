package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/install"
	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/internal/hub"
)

// newDoctor checks what llcuda needs of this machine.
func newDoctor() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this machine and say what to mend",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			checks := append(install.Doctor(cmd.Context()), gpuCheck(), modelsCheck())
			if err := printChecks(cmd.OutOrStdout(), checks, asJSON); err != nil {
				return err
			}
			if slices.ContainsFunc(checks, func(c install.Check) bool { return !c.OK }) {
				return errors.New("doctor: see the failed checks above")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printChecks(w io.Writer, checks []install.Check, asJSON bool) error {
	if asJSON {
		out := []map[string]any{}
		for _, c := range checks {
			out = append(out, map[string]any{"name": c.Name, "ok": c.OK, "detail": c.Detail, "hint": c.Hint})
		}
		return encodeJSON(w, out)
	}
	for _, c := range checks {
		mark := "ok  "
		if !c.OK {
			mark = "FAIL"
		}
		fmt.Fprintf(w, "%s  %-12s %s\n", mark, c.Name, c.Detail)
		if c.Hint != "" {
			fmt.Fprintf(w, "%18s → %s\n", "", c.Hint)
		}
	}
	return nil
}

// modelsCheck says where models are looked for and where they are fetched to.
func modelsCheck() install.Check {
	c := catalog.FromEnv()
	count := map[catalog.Source]int{}
	for _, m := range c.Local() {
		count[m.Source]++
	}
	detail := fmt.Sprintf("%d in %s", count[catalog.Folder], strings.Join(c.Folders, ", "))
	for _, s := range []catalog.Source{catalog.Ollama, catalog.LlamaCpp} {
		if count[s] > 0 {
			detail += fmt.Sprintf("; %d of %s", count[s], s)
		}
	}
	if c.Hub == nil {
		_, err := hub.FromEnv()
		return install.Check{Name: "models", Detail: detail, Hint: fmt.Sprintf("nothing can be fetched: %v", err)}
	}
	detail += fmt.Sprintf("; %d in %s", count[catalog.HuggingFace], c.Hub.Cache)
	if c.Hub.Offline {
		detail += "; HF_HUB_OFFLINE is set, so nothing is fetched"
	} else if c.Hub.Token != "" {
		detail += "; fetched with a token"
	}
	return install.Check{Name: "models", OK: true, Detail: detail}
}
