package magics

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/llcuda/llcuda/internal/catalog"
	"github.com/llcuda/llcuda/jupyter"
)

func init() {
	register(Magic{Name: "models", Args: "[search TEXT | rm NAME]", Doc: "lists the models loaded, and models and adapters on this machine; searches the short names; removes a fetched one", Line: true,
		Help: `%models                     what is loaded, and what %load finds on this machine
%models search qwen coder   the short names that can be fetched
%models rm NAME             removes a fetched model or adapter; the name has to be exact, as %models shows it
Looked at are the folders of LLCUDA_MODELS, the current folder, its models and .models, the user's cache
(~/.cache/llcuda/models), Hugging Face's cache (HF_HOME, HF_HUB_CACHE), Ollama's store (OLLAMA_MODELS) and
llama.cpp's cache (LLAMA_CACHE). Only what lies in Hugging Face's cache is ever removed.`,
		Flags: func(f *pflag.FlagSet) { f.Bool("json", false, "print JSON") },
		Run:   modelsMagic,
		Complete: func(_ *Interpreter, c Completing) []string {
			switch {
			case len(c.Words) == 0:
				return []string{"search", "rm"}
			case c.Words[0] == "search":
				return shortNames(nil)
			case c.Words[0] == "rm" && len(c.Words) == 1:
				return removable()
			}
			return nil
		}})
}

func removable() (names []string) {
	places := catalog.FromEnv()
	for _, m := range places.Local() {
		if m.Source == catalog.HuggingFace {
			names = append(names, m.Name)
		}
	}
	return append(names, fetchedAdapters(places)...)
}

func fetchedAdapters(places *catalog.Catalog) (names []string) {
	for _, a := range places.Adapters() {
		if a.Source == catalog.HuggingFace {
			names = append(names, a.Name)
		}
	}
	return names
}

func modelsMagic(ctx context.Context, c *Call) error {
	asJSON, _ := c.Flags.GetBool("json")
	switch {
	case len(c.Args) == 0:
		return listModels(c, asJSON)
	case c.Args[0] == "search":
		return searchModels(c, strings.Join(c.Args[1:], " "), asJSON)
	case c.Args[0] == "rm" && len(c.Args) == 2:
		return removeModel(ctx, c, c.Args[1])
	case c.Args[0] == "rm":
		return c.usage("rm: want one name, got %d", len(c.Args)-1)
	}
	return c.usage("%s: want search or rm", c.Args[0])
}

func listModels(c *Call, asJSON bool) error {
	t := table{Head: []string{"model", "architecture", "parameters", "type", "size", "context", "device", ""}}
	names := c.models.names()
	loadedPaths := map[string]bool{}
	for i, name := range names {
		l, err := c.models.findAny(name)
		if err != nil {
			return err
		}
		state := "loaded"
		if i == len(names)-1 {
			state = "loaded, current"
		}
		if l.endpoint != nil {
			t.Rows = append(t.Rows, append(l.endpoint.row(name), state))
			continue
		}
		loadedPaths[l.path] = true
		info := l.model.Info()
		t.Rows = append(t.Rows, []string{name, info.Arch, countText(info.Params), info.FileType, bytesText(info.WeightBytes),
			fmt.Sprint(info.Context), info.Device, state})
	}
	if c.o.Demo != nil && !slices.Contains(names, "demo") {
		t.Rows = append(t.Rows, []string{"demo", "", "", "", "", "", "", "embedded"})
	}
	places := catalog.FromEnv()
	if asJSON {
		return showJSON(c, ModelsJSON(places))
	}
	for _, m := range places.Local() {
		if !loadedPaths[m.Path] {
			t.Rows = append(t.Rows, []string{m.Name, "", "", m.Quant, bytesText(m.Size), "", "", WhereText(m)})
		}
	}
	for _, a := range places.Adapters() {
		t.Rows = append(t.Rows, []string{a.Name, "", "", "adapter", bytesText(a.Size), "", "", AdapterText(a)})
	}
	for _, m := range places.Unfinished() {
		t.Rows = append(t.Rows, []string{m.Name, "", "", "", bytesText(m.Size), "", "", "unfinished: %load or %pull goes on"})
	}
	t.Note = "%load NAME loads one of them, or any .gguf file by its path; %models search lists what can be fetched"
	c.Display.Show(jupyter.Bundle{"text/plain": t.text(), "text/html": t.html()})
	return nil
}

// WhereText says where a model lies.
func WhereText(m catalog.Model) string {
	if m.Source == catalog.Folder {
		return m.Path
	}
	if m.Repo != "" {
		return string(m.Source) + ": " + m.Repo
	}
	return string(m.Source)
}

// AdapterText says which model an adapter is for, and where it lies if its name
// does not.
func AdapterText(a catalog.Adapter) string {
	text := "for " + a.Base
	if a.Base == "" {
		text = "names no base model"
	}
	if a.Source != catalog.Folder {
		text += "; " + string(a.Source)
	}
	return text
}

// ModelsJSON is the models and adapters on this machine as --json shows them.
func ModelsJSON(places *catalog.Catalog) []map[string]any {
	out := []map[string]any{}
	for _, m := range places.Local() {
		out = append(out, ModelJSON(m))
	}
	for _, a := range places.Adapters() {
		m := ModelJSON(a.Model)
		m["adapter"], m["base"] = true, a.Base
		out = append(out, m)
	}
	return out
}

// ModelJSON is a model as --json shows it.
func ModelJSON(m catalog.Model) map[string]any {
	return map[string]any{"name": m.Name, "path": m.Path, "bytes": m.Size, "quantisation": m.Quant, "source": m.Source, "repository": m.Repo}
}

func showJSON(c *Call, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintln(c.Display.Stdout(), string(text))
	return nil
}

func searchModels(c *Call, text string, asJSON bool) error {
	found := catalog.Search(text)
	switch {
	case asJSON:
		return showJSON(c, found)
	case len(found) == 0:
		fmt.Fprintf(c.Display.Stdout(), "no short name has %q; %%models search lists all, and %%load org/name takes any repository of GGUF files\n", text)
		return nil
	}
	head, rows := SearchTable(found)
	t := table{Head: head, Rows: rows, Note: "%load NAME fetches one, in the quantisation that suits the memory; %load NAME:Q8_0 another"}
	c.Display.Show(jupyter.Bundle{"text/plain": t.text(), "text/html": t.html()})
	return nil
}

// SearchTable is entries of the registry as rows under a head.
func SearchTable(found []*catalog.Entry) (head []string, rows [][]string) {
	for _, e := range found {
		rows = append(rows, []string{e.Name, e.Arch, countText(int64(e.Params * 1e9)), "about " + bytesText(e.Bytes("Q4_K_M")), e.Repos[0], strings.Join(e.Quants, " ")})
	}
	return []string{"model", "architecture", "parameters", "Q4_K_M", "repository", "quantisations"}, rows
}

func removeModel(ctx context.Context, c *Call, name string) error {
	places := catalog.FromEnv()
	for _, loaded := range c.models.names() {
		l, err := c.models.findAny(loaded)
		if err != nil || l.path == "" {
			continue
		}
		for _, m := range places.Local() {
			if m.Path == l.path && (m.Name == name || m.Repo == name || m.Repo+":"+m.Quant == name) {
				return modelError("%s is loaded; %%unload %s first", name, loaded)
			}
		}
	}
	done, err := places.Remove(ctx, name)
	if err != nil {
		return findError(ctx, err)
	}
	fmt.Fprintln(c.Display.Stdout(), RemovedText(name, done.Bytes, done.Shared))
	return nil
}

// RemovedText says what the removal of a model did.
func RemovedText(name string, freed, shared int64) string {
	text := fmt.Sprintf("removed %s: %s freed", name, bytesText(freed))
	if shared > 0 {
		text += fmt.Sprintf("; %s stay, since another revision has them, too", bytesText(shared))
	}
	return text
}
