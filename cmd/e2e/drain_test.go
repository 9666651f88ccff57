package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// SIGTERM during a push: the push is finished and acknowledged, then the origin exits 0; a new push is not taken.
func TestOriginDrains(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(bin, "origin", "--dir", dir, "--issuers", "gz", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--nats-listen", "127.0.0.1:0")
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
	answer := make(chan string, 1)
	go func() {
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		answer <- res.Status + " " + string(b)
	}()
	half := strings.Repeat("{\"subject\":\"a\",\"status\":\"red\"}\n", 10_000) // more than buffers hold: the origin is reading it
	_, _ = io.WriteString(lines, half)
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
