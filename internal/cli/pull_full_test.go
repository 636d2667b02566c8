package cli

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// onSmallDisk runs a script with a disk of 6 MiB at HF_HOME that nobody else
// sees; llcuda is the program in it.
func onSmallDisk(t *testing.T, script string) (out string) {
	t.Helper()
	how := []string{"-m"}
	if os.Getuid() != 0 {
		how = []string{"-Urm"}
	}
	const mount = `mount -t tmpfs -o size=6m tmpfs "$HF_HOME" || exit 77; `
	if err := exec.Command("unshare", append(how, "sh", "-c", mount)...).Run(); err != nil {
		t.Skipf("no disk to fill: unshare and mount: %v", err)
	}
	cmd := exec.Command("unshare", append(how, "sh", "-c", mount+"llcuda() { '"+os.Args[0]+"' \"$@\"; }; "+script)...)
	cmd.Env = append(os.Environ(), "LLCUDA_TEST_MAIN=1")
	b, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return string(b)
}

// TestPullFullDisk: what does not fit is said before it is fetched; where the
// disk fills up meanwhile, what came stays to go on from, under no name that
// anybody takes for the file.
func TestPullFullDisk(t *testing.T) {
	f, model := newTestHub(t)
	got := onSmallDisk(t, `head -c 3m /dev/zero > "$HF_HOME/other"; llcuda pull smollm2-135m-Q4_K_M; echo "rc $?"; find "$HF_HOME" -type f -size +0`)
	if !regexp.MustCompile(`not enough disk space: 4 MB to come, 3 MB free in .*; free some, or set HF_HOME to a larger disk\nrc 1\n\S*/other\n$`).MatchString(got) || f.Count("cdn") != 0 {
		t.Errorf("a disk that is full: %s", got)
	}

	dir := t.TempDir()
	asked, filled := filepath.Join(dir, "asked"), filepath.Join(dir, "filled")
	var waited atomic.Bool
	f.Mu.Lock()
	f.Fault = func(_ http.ResponseWriter, r *http.Request, cdn bool) bool {
		if cdn && r.Method == http.MethodGet && !waited.Swap(true) {
			os.WriteFile(asked, nil, 0o644)
			for range 2000 {
				if _, err := os.Stat(filled); err == nil {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
		return false
	}
	f.Mu.Unlock()
	t.Setenv("DIR", dir)
	got = onSmallDisk(t, `
		llcuda pull smollm2-135m-Q4_K_M & pid=$!
		while [ ! -e "$DIR/asked" ] && kill -0 $pid; do sleep 0.05; done
		head -c 4m /dev/zero > "$HF_HOME/other"; touch "$DIR/filled"
		wait $pid; echo "rc $?"
		find "$HF_HOME" \( -type f -size +0 -o -type l \) -printf '%f %s\n' | sort; cp "$HF_HOME"/hub/models--*/blobs/*.incomplete "$DIR/part"
		rm "$HF_HOME/other"
		llcuda pull smollm2-135m-Q4_K_M > "$DIR/path"; echo "rc $?"
		cp "$(cat "$DIR/path")" "$DIR/whole"`)
	sum := fmt.Sprintf("%x", sha256.Sum256(model))
	if !regexp.MustCompile(`(?s)not enough disk space: 2 MB to come, 0 MB free in .*; free some, or set HF_HOME to a larger disk; 2.1 MB that came are kept\nrc 1\n` + sum + `\.incomplete \d+\nother 4194304\n.*rc 0\n$`).MatchString(got) {
		t.Errorf("a disk that fills up: %s", got)
	}
	part, err1 := os.ReadFile(filepath.Join(dir, "part"))
	whole, err2 := os.ReadFile(filepath.Join(dir, "whole"))
	if err1 != nil || err2 != nil || len(part) < 1<<20 || !bytes.HasPrefix(model, part) || !bytes.Equal(whole, model) {
		t.Errorf("%v, %v: a part of %d bytes, a whole of %d", err1, err2, len(part), len(whole))
	}
	if again := fmt.Sprintf("bytes=%d-", len(part)); !strings.Contains(strings.Join(f.Asked, "\n"), again) {
		t.Errorf("no %s in %v", again, f.Asked)
	}
}
