package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/tensor"
)

// completeNames makes the shell complete a flag's value to one of the names, or
// to several behind commas.
func completeNames(cmd *cobra.Command, flag string, names []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, word string) (all []string, _ cobra.ShellCompDirective) {
		whole := ""
		if cmd.Flags().Lookup(flag).Value.Type() == "stringSlice" {
			whole = word[:strings.LastIndexByte(word, ',')+1]
		}
		for _, name := range names {
			if strings.HasPrefix(whole+name, word) {
				all = append(all, whole+name)
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // there is no such flag
	}
}

// dtypeNames are the types of tensors.
func dtypeNames() (names []string) {
	for _, d := range tensor.DTypes() {
		names = append(names, d.String())
	}
	return names
}

// cacheTypes are those that the KV cache may have.
func cacheTypes() []string { return []string{"f16", "bf16", "q8_0", "f32"} }
