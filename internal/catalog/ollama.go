package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Ollama's store, as its server writes it (fs/manifest of
// https://github.com/ollama/ollama):
//
//	manifests/registry.ollama.ai/library/llama3.2/1b  JSON: the layers of llama3.2:1b
//	blobs/sha256-HEX                                  one layer's bytes
//
// A store is read only. A manifest is believed in nothing but a digest, and the
// blob has to be a file of the size that it tells, in the store itself.

const (
	ollamaModel    = "application/vnd.ollama.image.model"
	manifestLimit  = 1 << 20
	manifestsLimit = 1000 // files looked at in one store
)

// ollamaPath is what host/namespace/model/tag may hold.
var ollamaPath = regexp.MustCompile(`^[A-Za-z0-9._:/-]+$`)

var digestForm = regexp.MustCompile(`^sha256[:-]([0-9a-f]{64})$`)

// ollamaRoots are where the store may be: OLLAMA_MODELS alone, or the user's
// and, on Linux, the service's.
func ollamaRoots() []string {
	if dir := os.Getenv("OLLAMA_MODELS"); dir != "" {
		return []string{dir}
	}
	var roots []string
	if home, err := os.UserHomeDir(); err == nil {
		roots = append(roots, filepath.Join(home, ".ollama", "models"))
	}
	return append(roots, "/usr/share/ollama/.ollama/models")
}

// A layer is what a manifest says of a blob.
type layer struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// A manifest is the part of one that matters here.
type manifest struct {
	Config layer   `json:"config"`
	Layers []layer `json:"layers"`
}

// parseManifest returns the layer of the weights and the configuration's.
func parseManifest(data []byte) (model, config layer, err error) {
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return layer{}, layer{}, err
	}
	n := 0
	for _, l := range m.Layers {
		if l.MediaType == ollamaModel {
			model = l
			n++
		}
	}
	switch {
	case n != 1:
		return layer{}, layer{}, fmt.Errorf("%d layers of weights, want 1", n)
	case !digestForm.MatchString(model.Digest):
		return layer{}, layer{}, fmt.Errorf("digest %q: want sha256 and 64 hex digits", model.Digest)
	case model.Size <= 0:
		return layer{}, layer{}, fmt.Errorf("%d bytes of weights", model.Size)
	}
	return model, m.Config, nil
}

// inOllama lists the models of Ollama's stores; what is damaged is left out.
func (c *Catalog) inOllama() []Model {
	var all []Model
	seen := map[string]bool{}
	for _, root := range c.Ollama {
		manifests := filepath.Join(root, "manifests")
		n := 0
		filepath.WalkDir(manifests, func(path string, d fs.DirEntry, err error) error {
			if n++; n > manifestsLimit {
				return filepath.SkipAll
			}
			if err != nil || !d.Type().IsRegular() {
				return nil // what cannot be read is not there, and links are not followed
			}
			rel, err := filepath.Rel(manifests, path)
			if err != nil {
				return nil
			}
			name := ollamaName(filepath.ToSlash(rel))
			if m, err := readOllama(root, path); err == nil && name != "" && !seen[name] {
				seen[name] = true
				m.Name = name
				all = append(all, m)
			}
			return nil
		})
	}
	return all
}

// ollamaName is what Ollama calls the model of a manifest: without its own
// registry and library, and with the tag. "" is none.
func ollamaName(rel string) string {
	parts := strings.Split(rel, "/")
	if len(parts) != 4 || !ollamaPath.MatchString(rel) {
		return ""
	}
	path := strings.Join(parts[:3], "/")
	path = strings.TrimPrefix(path, "registry.ollama.ai/")
	path = strings.TrimPrefix(path, "library/")
	return path + ":" + parts[3]
}

// readOllama reads a manifest and finds its blob.
func readOllama(root, path string) (Model, error) {
	data, err := readSmall(path, manifestLimit)
	if err != nil {
		return Model{}, err
	}
	weights, config, err := parseManifest(data)
	if err != nil {
		return Model{}, fmt.Errorf("%s: %w", path, err)
	}
	blob, size, err := ollamaBlob(root, weights.Digest)
	if err != nil {
		return Model{}, err
	}
	if size != weights.Size {
		return Model{}, fmt.Errorf("%s: %d bytes, the manifest says %d", blob, size, weights.Size)
	}
	return Model{Path: blob, Size: size, Source: Ollama, Quant: ollamaQuant(root, config)}, nil
}

// ollamaBlob is the file of a digest. Links may lead elsewhere in the store,
// never out of it.
func ollamaBlob(root, digest string) (path string, size int64, err error) {
	hex := digestForm.FindStringSubmatch(digest)
	if hex == nil {
		return "", 0, fmt.Errorf("digest %q: want sha256 and 64 hex digits", digest)
	}
	return inside(root, filepath.Join(root, "blobs", "sha256-"+hex[1]))
}

// inside resolves the links of a path and refuses what leaves root or is no
// file. Root itself may be a link.
func inside(root, path string) (real string, size int64, err error) {
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return "", 0, err
	}
	if real, err = filepath.EvalSymlinks(path); err != nil {
		return "", 0, err
	}
	rel, err := filepath.Rel(root, real)
	if err != nil || !filepath.IsLocal(rel) {
		return "", 0, fmt.Errorf("%s leads out of %s", path, root)
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", 0, err
	}
	if !info.Mode().IsRegular() {
		return "", 0, fmt.Errorf("%s is no file", real)
	}
	return real, info.Size(), nil
}

// ollamaQuant is what a model's configuration says of its type; "" if nothing.
func ollamaQuant(root string, config layer) string {
	path, _, err := ollamaBlob(root, config.Digest)
	if err != nil {
		return ""
	}
	data, err := readSmall(path, manifestLimit)
	if err != nil {
		return ""
	}
	var c struct {
		FileType string `json:"file_type"`
	}
	if json.Unmarshal(data, &c) != nil || len(c.FileType) > 16 {
		return ""
	}
	return strings.ToUpper(c.FileType)
}

// readSmall reads a file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s: want a file of at most %d bytes", path, limit)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = errors.New(path + ": grew while it was read")
	}
	return data, err
}
