package lora

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/llcuda/llcuda/gguf"
	"github.com/llcuda/llcuda/internal/safetensors"
)

// Files of an adapter that PEFT saved.
const (
	configName  = "adapter_config.json"
	weightsName = "adapter_model.safetensors"
	pickleName  = "adapter_model.bin"
)

// Open opens an adapter for a base: a GGUF file, or a folder that PEFT saved
// (or a file of it). Whether it fits the base, Check says. The base's numbers
// are not read.
func Open(path string, base *gguf.File) (*gguf.File, error) {
	if strings.HasSuffix(path, ".gguf") {
		f, err := gguf.Open(path)
		if err != nil {
			return nil, err
		}
		if !Is(f) {
			err := fmt.Errorf("lora: %s is a model, not an adapter; %%load takes it", path)
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}
	dir, err := folder(path)
	if err != nil {
		return nil, err
	}
	b, err := readConfigFile(dir)
	if err != nil {
		return nil, err
	}
	weights, err := safetensors.Open(filepath.Join(dir, weightsName))
	switch {
	case errors.Is(err, os.ErrNotExist) && exists(filepath.Join(dir, pickleName)):
		return nil, fmt.Errorf("lora: %s is a pickle, which can run code when it is read; save the adapter as safetensors (save_pretrained with safe_serialization=True)",
			filepath.Join(dir, pickleName))
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("lora: %s has no %s, only its description; fetch the weights, too", dir, weightsName)
	case err != nil:
		return nil, fmt.Errorf("lora: %w", err)
	}
	f, err := view(b, weights, base)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lora: %s: %w", dir, err), weights.Close())
	}
	f.Path = dir
	return f, nil
}

// folder is the folder of an adapter that path means.
func folder(path string) (string, error) {
	if name := filepath.Base(path); name == configName || name == weightsName || name == pickleName {
		path = filepath.Dir(path)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", fmt.Errorf("lora: %w", err)
	case !info.IsDir() || !exists(filepath.Join(path, configName)):
		return "", fmt.Errorf("lora: %s is no adapter: want a folder with %s, or a .gguf file", path, configName)
	}
	return path, nil
}

// IsFolder says whether a path is a folder that PEFT saved, or a file of it.
func IsFolder(path string) bool {
	_, err := folder(path)
	return err == nil
}

// BaseOf is the model that the adapter in a folder was trained on, as its
// author calls it: a repository or a path; "" if the folder does not say.
func BaseOf(path string) (string, error) {
	dir, err := folder(path)
	if err != nil {
		return "", err
	}
	b, err := readConfigFile(dir)
	if err != nil {
		return "", err
	}
	c, err := readConfig(b)
	if err != nil {
		return "", fmt.Errorf("lora: %s: %s: %w", dir, configName, err)
	}
	return c.base, nil
}

// readConfigFile reads a description, which is never long.
func readConfigFile(dir string) ([]byte, error) {
	return readRegular(filepath.Join(dir, configName), 4<<20)
}

// readRegular reads a file of an adapter's folder of at most so many bytes.
func readRegular(path string, most int64) ([]byte, error) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > most {
		return nil, fmt.Errorf("lora: %s is no regular file of at most %d bytes", path, most)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("lora: %w", err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil {
		return nil, fmt.Errorf("lora: %w", err)
	}
	return b, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
