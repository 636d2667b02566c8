package magics

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/llcuda/llcuda/jupyter"
)

var servedAt = regexp.MustCompile(`http://127\.0\.0\.1:\d+/v1`)

// startServing runs %serve at a free port and returns the address.
func startServing(t *testing.T, in *Interpreter, flags string) string {
	t.Helper()
	got := run(in, "%serve --port 0 "+flags)
	url := servedAt.FindString(got)
	if !strings.HasPrefix(got, "display_data: serving ") || url == "" {
		t.Fatalf("%%serve shows %q", got)
	}
	return url
}

// askServed asks for a greedy completion.
func askServed(url, key string) (status int, text string, err error) {
	r, err := http.NewRequest("POST", url+"/completions", strings.NewReader(`{"prompt":"What is AI?","temperature":0,"max_tokens":12}`))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+key)
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer w.Body.Close()
	body, err := io.ReadAll(w.Body)
	var v struct{ Choices []struct{ Text string } }
	if err == nil && w.StatusCode == 200 {
		if err = json.Unmarshal(body, &v); err == nil && len(v.Choices) == 1 {
			text = v.Choices[0].Text
		}
	}
	return w.StatusCode, text, err
}

func wantServed(t *testing.T, url, key, want string) {
	t.Helper()
	if status, text, err := askServed(url, key); err != nil || status != 200 || text != want {
		t.Errorf("the server answers %d %q (%v), want %q", status, text, err, want)
	}
}

func wantGone(t *testing.T, url string) {
	t.Helper()
	if status, _, err := askServed(url, ""); err == nil {
		t.Errorf("%s still answers: %d", url, status)
	}
}

// A server answers while cells run, and its answers and theirs are those that
// each would give alone.
func TestServe(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load demo")
	want := greedy(t, "What is AI?", 12)
	url := startServing(t, in, "--exact")
	done := make(chan bool)
	go func() {
		defer close(done)
		for range 10 {
			wantServed(t, url, "", want)
		}
	}()
	for range 10 {
		run(in, "%infer What is AI? --temperature 0 --max-tokens 12 --var said")
		if said, _ := in.vars.Get("said"); said != want {
			t.Errorf("%%infer beside a server holds %q, want %q", said, want)
		}
	}
	<-done
	if got := run(in, "%serve"); !strings.Contains(got, "demo is served already, at "+url+"; %serve stop") {
		t.Errorf("a second %%serve shows %q", got)
	}
	if got := run(in, "%serve --port 99999"); !strings.Contains(got, "99999") || strings.Contains(got, "already") {
		t.Errorf("a port that cannot be, beside a server, shows %q", got)
	}
	if got := run(in, "%serve status"); !strings.Contains(got, url) || !strings.Contains(got, "0 running · 0 waiting · 10 requests · 50 prompt tokens") {
		t.Errorf("%%serve status shows %q", got)
	}
	run(in, "%load demo --as other") // leaves it alone
	wantServed(t, url, "", want)
	if got, want := run(in, "%serve stop"), "stdout: demo is no longer served at "+url+"\n"; got != want {
		t.Errorf("%%serve stop shows %q, want %q", got, want)
	}
	wantGone(t, url)
	if got, want := run(in, "%serve status"), "stdout: nothing is served; %serve starts with the loaded model\n"; got != want {
		t.Errorf("%%serve status shows %q, want %q", got, want)
	}
}

// A model takes its server along, however it goes.
func TestServeEnds(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load demo")
	url := startServing(t, in, "")
	if got, want := run(in, "%unload"), "stdout: unloaded demo; its server at "+url+" has ended\n"; got != want {
		t.Errorf("%%unload shows %q, want %q", got, want)
	}
	wantGone(t, url)
	run(in, "%load demo")
	url = startServing(t, in, "")
	if got := run(in, "%load demo"); !strings.Contains(got, "the server of the former demo at "+url+" has ended") {
		t.Errorf("%%load in its place shows %q", got)
	}
	wantGone(t, url)
	kernel := New(in.o)
	run(kernel, "%load demo")
	url = startServing(t, kernel, "")
	if err := kernel.Close(); err != nil {
		t.Error(err)
	}
	wantGone(t, url)
}

// An interrupt of %serve stop waits for nobody.
func TestServeStopInterrupted(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load demo")
	url := startServing(t, in, "")
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/v1"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{") // the rest never comes
	for range 5 {                                                                                                                           // until the handler waits for it
		if _, _, err := askServed(url, ""); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if got, want := runWith(ctx, in, &recorder{}, "%serve stop"), "stdout: demo is no longer served at "+url+"\n"; got != want {
		t.Errorf("it shows %q, want %q", got, want)
	}
	if took := time.Since(begin); took < 50*time.Millisecond || took > serveGrace/2 {
		t.Errorf("it took %v", took)
	}
	wantGone(t, url)
}

// A model that goes ends what its server is answering, and both are told.
func TestServeBrokenOff(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load demo")
	url := startServing(t, in, "")
	const answers = 256
	body := `{"ignore_eos":true,"max_tokens":500,"prompt":["A"` + strings.Repeat(`,"A"`, answers-1) + `]}`
	answered := make(chan error, 1)
	go func() {
		w, err := http.Post(url+"/completions", "application/json", strings.NewReader(body))
		if err == nil {
			w.Body.Close()
			if w.StatusCode != http.StatusServiceUnavailable {
				err = fmt.Errorf("status %d, want 503", w.StatusCode)
			}
		}
		answered <- err
	}()
	l, err := in.models.find("demo")
	if err != nil {
		t.Fatal(err)
	}
	for l.serving.server.Status().Generated < 10 {
		select {
		case err := <-answered:
			t.Fatalf("the answer has ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	if got, want := run(in, "%unload"), "stdout: unloaded demo; its server at "+url+" has ended, and 256 answers broken off\n"; got != want {
		t.Errorf("%%unload shows %q, want %q", got, want)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// The display of a server follows what it does, in every place that shows it.
func TestServeLive(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load demo")
	r := &recorder{live: true}
	d := jupyter.NewDisplay(r)
	if err := in.Execute(t.Context(), jupyter.Cell{Code: "%serve --port 0 --api-key secret", Count: 1}, d); err != nil {
		t.Fatal(err)
	}
	last := func() string {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.messages[len(r.messages)-1]
	}
	url := servedAt.FindString(last())
	if want := "display_data: serving demo at " + url + ", 4 texts at once of up to 512 tokens, with a key\n0 running · 0 waiting · 0 requests"; last() != want {
		t.Errorf("%%serve shows %q, want %q", last(), want)
	}
	if status, _, err := askServed(url, "secret"); status != 200 {
		t.Fatalf("status %d (%v)", status, err)
	}
	const counted = "0 running · 0 waiting · 1 request · 5 prompt tokens · 12 new tokens"
	for end := time.Now().Add(20 * time.Second); !strings.Contains(last(), counted); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the display says %q, want %q", last(), counted)
		}
	}
	if !strings.HasPrefix(last(), "update_display_data: serving demo at ") {
		t.Errorf("the display says %q", last())
	}
	if got := run(in, "%serve status"); !strings.HasPrefix(got, "display_data: serving demo at ") || !strings.Contains(got, counted) {
		t.Errorf("%%serve status shows %q, want %q", got, counted)
	}
	run(in, "%serve stop")
	if want := "update_display_data: no longer serving demo at "; !strings.HasPrefix(last(), want) {
		t.Errorf("at the end the display says %q, want %q", last(), want)
	}
}

// The key comes from a flag or from the environment.
func TestServeKeys(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load demo")
	want := greedy(t, "What is AI?", 12)
	t.Setenv("LLCUDA_API_KEY", "of the environment")
	for flags, key := range map[string]string{"": "of the environment", "--api-key of-the-flag": "of-the-flag"} {
		url := startServing(t, in, flags)
		wantServed(t, url, key, want)
		if status, _, err := askServed(url, "wrong"); status != http.StatusUnauthorized {
			t.Errorf("a wrong key gets %d (%v)", status, err)
		}
		run(in, "%serve stop")
	}
}

func TestServeMistakes(t *testing.T) {
	in := newTestInterpreter(t)
	if got := run(in, "%serve"); got != "error: ModelError: no model loaded; try %load demo" {
		t.Errorf("without a model it shows %q", got)
	}
	run(in, "%load demo")
	run(in, "%load demo --as other")
	port := strings.TrimSuffix(strings.TrimPrefix(startServing(t, in, ""), "http://127.0.0.1:"), "/v1")
	for code, want := range map[string]string{
		"%serve now":                         "want status or stop, got now",
		"%serve stop now":                    "UsageError",
		"%serve --model demo --port -1":      "--port -1: want 1 to 65535",
		"%serve --model demo --parallel 0":   "--parallel 0: want 1 to",
		"%serve --model demo --queue -1":     "--queue -1: want 0 or more",
		"%serve --model demo --api-key ''":   "--api-key: the key is empty",
		"%serve stop --model demo":           "demo is not served; %serve --model demo starts it",
		"%serve --model nope":                "no loaded model is called nope",
		"%serve --model demo --port " + port: "take another --port, or 0 for a free one",
		"%serve stop --port 1":               "--port goes with a server's start",
	} {
		if got := run(in, code); !strings.Contains(got, "error: ") || !strings.Contains(got, want) {
			t.Errorf("%s shows %q, want %q", code, got, want)
		}
	}
}

// An endpoint does not take the name, and with it the server, of a model that
// is served here: that server may be the endpoint.
func TestServeAsEndpoint(t *testing.T) {
	in := newTestInterpreter(t)
	run(in, "%load demo --silent")
	url := startServing(t, in, "")
	if got, want := run(in, "%load "+url), "error: ModelError: demo is the name of a model that is served here, at "+url+"; --as NAME "; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	wantServed(t, url, "", greedy(t, "What is AI?", 12))
	if got := run(in, "%load "+url+" --as there"); !strings.HasPrefix(got, "display_data: loaded there: demo at "+url) {
		t.Errorf("got %q", got)
	}
	run(in, "%infer --temperature 0 --max-tokens 12 --var said What is AI?")
	if v, _ := in.vars.Get("said"); v != greedy(t, "What is AI?", 12) {
		t.Errorf("the endpoint says %q", v)
	}
	run(in, "%serve stop")
	if got := run(in, "%load "+ownServer(t)); !strings.Contains(got, "loaded demo: at http://") {
		t.Errorf("in place of a model that is not served: got %q", got)
	}
}
