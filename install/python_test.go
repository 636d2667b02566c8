package install

import (
	"os/exec"
	"strings"
	"testing"
)

// TestPythonExport runs the module's own tests: those with models that only say
// they are some everywhere, the others where torch, transformers and PEFT are.
func TestPythonExport(t *testing.T) {
	python := "../.venv/bin/python"
	if _, err := exec.LookPath(python); err != nil {
		if python, err = exec.LookPath("python3"); err != nil {
			t.Skip("no python3")
		}
	}
	out, err := exec.Command(python, "-B", "testdata/export_test.py").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nOK") {
		t.Errorf("%v\n%s", err, out)
	}
}
