package install

import _ "embed"

// PythonExport is llcuda_export, the Python module that saves a model that was
// fine-tuned there as a folder for %load.
//
//go:embed llcuda_export.py
var PythonExport []byte
