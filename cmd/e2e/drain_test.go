package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// SIGTERM during a push: the push is finished and acknowledged, then the origin exits 0; a new push is not taken.
func TestOriginDrains(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(bin, "origin", "--dir", dir, "--issuers", "gz", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--tls-listen", "127.0.0.1:0")
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	var at struct{ API string }
	var tokens struct {
		Push string `json:"push_token"`
	}
	eventually(t, "listening", func() bool { return readJSON(filepath.Join(dir, "listening.json"), &at) })
	if !readJSON(filepath.Join(dir, "tokens.json"), &tokens) {
		t.Fatal("no tokens")
	}
	body, lines := io.Pipe()
	req, err := http.NewRequest(http.MethodPost, at.API+"/v1/issuers/gz/deltas", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+tokens.Push)
	// 100 Continue is what the origin says when it begins to read: a connection that it had not accepted yet would be cut off, rightly.
	req.Header.Set("Expect", "100-continue")
	underWay := make(chan struct{})
	req = req.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(underWay) }}))
	transport := &http.Transport{ExpectContinueTimeout: time.Minute}
	defer transport.CloseIdleConnections()
	answer := make(chan string, 1)
	go func() {
		res, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		answer <- res.Status + " " + string(b)
	}()
	half := strings.Repeat("{\"subject\":\"a\",\"status\":\"red\"}\n", 10_000)
	_, _ = io.WriteString(lines, half)
	select {
	case <-underWay:
	case got := <-answer:
		t.Fatalf("the push was answered before it was whole: %s", got)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "closed to new pushes", func() bool {
		res, err := http.Post(at.API+"/v1/issuers/gz/deltas", "text/csv", strings.NewReader("subject,status\nb,red\n"))
		if err == nil {
			res.Body.Close()
		}
		return err != nil
	})
	_, _ = io.WriteString(lines, half)
	lines.Close()
	if got := <-answer; !strings.HasPrefix(got, "200 OK") || !strings.Contains(got, `"count":20000`) {
		t.Errorf("the push under way: %s", got)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "listening.json")); err == nil {
		t.Error("listening.json is still there")
	}
}

func readJSON(path string, v any) bool {
	b, err := os.ReadFile(path)
	return err == nil && json.Unmarshal(b, v) == nil
}
