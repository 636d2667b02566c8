package hub

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// FromEnv returns a client as the environment sets it up, by the names and
// the order of huggingface_hub: HF_ENDPOINT, HF_HUB_CACHE (else HF_HOME/hub,
// else XDG_CACHE_HOME/huggingface/hub), HF_TOKEN (else the file HF_TOKEN_PATH,
// else HF_HOME/token), HF_HUB_OFFLINE.
// https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
func FromEnv() (*Client, error) {
	user, err := os.UserHomeDir()
	if err != nil && os.Getenv("HF_HOME") == "" && os.Getenv("HF_HUB_CACHE") == "" {
		return nil, fmt.Errorf("hub: no place for the cache: %w; set HF_HOME", err)
	}
	place := func(otherwise string, names ...string) string {
		for _, name := range names {
			if v := os.Getenv(name); v != "" {
				return expand(v, user)
			}
		}
		return otherwise
	}
	home := place(filepath.Join(place(filepath.Join(user, ".cache"), "XDG_CACHE_HOME"), "huggingface"), "HF_HOME")
	c, err := New(os.Getenv("HF_ENDPOINT"), place(filepath.Join(home, "hub"), "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"))
	if err != nil {
		return nil, err
	}
	c.Offline = isTrue(cmp.Or(os.Getenv("HF_HUB_OFFLINE"), os.Getenv("TRANSFORMERS_OFFLINE")))
	if isTrue(os.Getenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
		return c, nil
	}
	c.Token = clean(cmp.Or(os.Getenv("HF_TOKEN"), os.Getenv("HUGGING_FACE_HUB_TOKEN")))
	if c.Token == "" {
		b, err := os.ReadFile(place(filepath.Join(home, "token"), "HF_TOKEN_PATH"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("hub: read the token: %w; set HF_TOKEN", err)
		}
		c.Token = clean(string(b))
	}
	return c, nil
}

// expand replaces a leading ~ and the variables in a path; a variable that is
// not set stays as it is written.
func expand(path, user string) string {
	if path == "~" || strings.HasPrefix(path, "~/") {
		path = user + path[1:]
	}
	return os.Expand(path, func(name string) string {
		if v, ok := os.LookupEnv(name); ok {
			return v
		}
		return "$" + name
	})
}

func isTrue(v string) bool {
	return slices.Contains([]string{"1", "ON", "YES", "TRUE"}, strings.ToUpper(v))
}

// clean takes the line ends out of a token, which no header may carry.
func clean(token string) string {
	return strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(token))
}
