package hub

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Model is one model among a repository's files: a GGUF file, or the shards of
// one, in order; or a checkpoint of transformers, with what belongs to it.
type Model struct {
	Name  string // the path without shard number and .gguf; a checkpoint's is the repository's
	Quant string // as in Q4_K_M, BF16, UD-Q4_K_XL; "" if the name tells none
	Files []File
	Size  int64 // bytes of all files
}

// quantForm is how files name their quantisation.
const quantForm = `I?Q[1-8]_[A-Z0-9]+(?:_[A-Z0-9]+)*|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4|BF16|F16|F32|FP16|FP32`

var (
	// llama.cpp's names of split files: name-00001-of-00003.gguf
	shardName = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})$`)
	quantName = regexp.MustCompile(`(?i)(?:^|[-._/])((?:UD-)?(?:` + quantForm + `))(?:$|[-./])`)
)

// Models groups the GGUF files into models, by name. Files beside the models
// (projectors of vision models, importance matrices) are left out, and so are
// split models of which a shard misses. A repository without any may have a
// checkpoint.
func (r *Repo) Models() []Model {
	type part struct {
		n    int
		file File
	}
	parts := map[string][]part{}
	total := map[string]int{}
	for _, f := range r.Files {
		stem, ok := strings.CutSuffix(f.Path, ".gguf")
		base := strings.ToLower(path.Base(stem))
		if !ok || strings.HasPrefix(base, "mmproj") || strings.Contains(base, "imatrix") {
			continue
		}
		n, of := 1, 1
		if m := shardName.FindStringSubmatch(stem); m != nil {
			stem = m[1]
			n, _ = strconv.Atoi(m[2])
			of, _ = strconv.Atoi(m[3])
		}
		parts[stem] = append(parts[stem], part{n, f})
		total[stem] = of
	}
	var models []Model
	for name, ps := range parts {
		slices.SortFunc(ps, func(a, b part) int { return cmp.Compare(a.n, b.n) })
		m := Model{Name: name, Quant: QuantOf(name)}
		for i, p := range ps {
			if p.n == i+1 {
				m.Files = append(m.Files, p.file)
				m.Size += p.file.Size
			}
		}
		if len(m.Files) == total[name] && len(ps) == total[name] {
			models = append(models, m)
		}
	}
	if len(models) == 0 {
		if m, ok := r.checkpoint(); ok {
			return []Model{m}
		}
	}
	slices.SortFunc(models, func(a, b Model) int { return cmp.Compare(a.Name, b.Name) })
	return models
}

// QuantOf is the last quantisation that a path names, in the spelling of
// llama.cpp; "" if it names none.
func QuantOf(name string) string {
	quant := ""
	for rest := name; ; {
		at := quantName.FindStringSubmatchIndex(rest)
		if at == nil {
			return spell(quant)
		}
		quant = rest[at[2]:at[3]]
		rest = rest[at[3]:]
	}
}

var quantAtEnd = regexp.MustCompile(`(?i)^(.+?)[-._:]((?:UD-)?(?:` + quantForm + `))$`)

// CutQuant takes the quantisation from the end of a model's name, as in
// name-Q4_K_M or name:q4_k_m; the name comes back whole if there is none.
func CutQuant(name string) (base, quant string) {
	if m := quantAtEnd.FindStringSubmatch(name); m != nil {
		return m[1], spell(m[2])
	}
	return name, ""
}

// spell writes a quantisation as llama.cpp does.
func spell(quant string) string {
	return strings.NewReplacer("FP16", "F16", "FP32", "F32").Replace(strings.ToUpper(quant))
}

// usual is what to take where nothing is asked for: the first of these that a
// repository has, else its only model.
var usual = []string{"Q4_K_M", "Q4_0", "Q8_0", "Q5_K_M", "Q6_K", "F16", "BF16"}

// Pick chooses a model by what was asked for: a quantisation (any case), a
// file's path or base name, any shard's too, or a pattern of [path.Match] over
// either. "" takes the usual one.
func (r *Repo) Pick(want string) (Model, error) {
	models := r.Models()
	switch {
	case len(models) == 0:
		return Model{}, fmt.Errorf("hub: %s: %w among %d files; look for a repository whose name ends in -GGUF", r.ID, ErrNoModel, len(r.Files))
	case want == "" && len(models) == 1:
		return models[0], nil
	case want == "":
		for _, quant := range usual {
			if i := slices.IndexFunc(models, func(m Model) bool { return m.Quant == quant }); i >= 0 {
				return models[i], nil
			}
		}
		return Model{}, fmt.Errorf("hub: %s has several models; choose one by --file: %s", r.ID, names(models))
	}
	if _, err := path.Match(want, ""); err != nil {
		return Model{}, fmt.Errorf("hub: pattern %q: %w", want, err)
	}
	for _, fits := range []func(Model) bool{
		func(m Model) bool { return m.any(func(p string) bool { return p == want || path.Base(p) == want }) },
		func(m Model) bool { return strings.EqualFold(m.Quant, want) },
		func(m Model) bool { return strings.EqualFold(m.Quant, "UD-"+want) },
		func(m Model) bool {
			return m.any(func(p string) bool {
				whole, _ := path.Match(want, p)
				base, _ := path.Match(want, path.Base(p))
				return whole || base
			})
		},
	} {
		switch found := slices.DeleteFunc(slices.Clone(models), func(m Model) bool { return !fits(m) }); len(found) {
		case 0:
		case 1:
			return found[0], nil
		default:
			return Model{}, fmt.Errorf("hub: %s: %q fits %d models; choose one: %s", r.ID, want, len(found), names(found))
		}
	}
	return Model{}, fmt.Errorf("hub: %s has no model %q; it has %s", r.ID, want, names(models))
}

func (m Model) any(fits func(path string) bool) bool {
	return slices.ContainsFunc(m.Files, func(f File) bool { return fits(f.Path) })
}

// names lists models for an error, the first ten.
func names(models []Model) string {
	var s []string
	for _, m := range models[:min(10, len(models))] {
		s = append(s, m.Files[0].Path)
	}
	if more := len(models) - len(s); more > 0 {
		s = append(s, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(s, ", ")
}
