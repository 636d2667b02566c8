package safetensors

import "fmt"

// A FormatError says what is wrong with a file, an index or a folder.
type FormatError struct {
	Path  string // empty for Parse
	Where string // `tensor "model.norm.weight"`, "header"; may be empty
	Err   error  // what was found and what was wanted
}

func (e *FormatError) Error() string {
	s := "safetensors: "
	if e.Path != "" {
		s += e.Path + ": "
	}
	if e.Where != "" {
		s += e.Where + ": "
	}
	return s + e.Err.Error()
}

func (e *FormatError) Unwrap() error { return e.Err }

func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// fault is a FormatError; a name in it is cut, as a file can be full of them.
func fault(path, where, format string, args ...any) error {
	return &FormatError{Path: path, Where: where, Err: errorf(format, args...)}
}

// named is `kind "name"`, shortened.
func named(kind, name string) string {
	const most = 200 // bytes
	if len(name) > most {
		return fmt.Sprintf("%s %q...", kind, name[:most])
	}
	return fmt.Sprintf("%s %q", kind, name)
}
