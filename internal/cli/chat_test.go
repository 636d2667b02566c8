package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestChat(t *testing.T) {
	saved := filepath.Join(t.TempDir(), "it's.json")
	lines := "Once upon a time\n\nThere was \\\na dog\n/undo\n/show\n/save " + `"` + saved + `"` + "\n%env HOME\n/exit\nnot read\n"
	out, errs, err := command(t, lines, "chat", "demo", "--temperature", "0", "--max-tokens", "6", "--system", "It's a tale.", "--ctx", "300")
	if err != nil {
		t.Fatal(err)
	}
	alone := output(t, "", "infer", "demo", "It's a tale.\n\nOnce upon a time", "--temperature", "0", "--max-tokens", "6")
	if !strings.HasPrefix(out, alone) || !strings.Contains(out, "took back 2 messages: There was …\n") || !strings.Contains(out, "saved 3 messages to ") {
		t.Errorf("stdout %q, want %q in front", out, alone)
	}
	for _, want := range []string{"loaded demo: ", "context 300", "demo has no chat template", "6 new tokens", "tokens reused", "system: It's a tale.\nuser: Once upon a time\n"} {
		if !strings.Contains(errs, want) {
			t.Errorf("stderr %q, want %q in it", errs, want)
		}
	}
	var file struct {
		Messages []struct{ Role, Content string }
	}
	data, err := os.ReadFile(saved)
	if err == nil {
		err = json.Unmarshal(data, &file)
	}
	if err != nil || len(file.Messages) != 3 || file.Messages[2].Content+"\n" != alone {
		t.Errorf("saved %s: %v", data, err)
	}
}

func TestChatOnce(t *testing.T) {
	got := output(t, "not read", "chat", "demo", "--temperature", "0", "--max-tokens", "6", "Once", "upon --a time")
	if want := output(t, "", "infer", "demo", "Once upon --a time", "--temperature", "0", "--max-tokens", "6"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestChatMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		stdin, want string
		args        []string
	}{
		"no model":      {"", "chat: 0 arguments", nil},
		"unknown":       {"", "no model nope: neither a file nor a short name; llcuda models", []string{"nope"}},
		"flag":          {"", "--ctx -1: want at least 1", []string{"demo", "--ctx", "-1"}},
		"temperature":   {"hi\n", "--temperature 1000: want 0 to 100", []string{"demo", "--temperature", "1000"}},
		"in the middle": {"hi\n/load /no/such\nhi\n", "/no/such cannot be read", []string{"demo", "--max-tokens", "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := command(t, c.stdin, append([]string{"chat"}, c.args...)...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
