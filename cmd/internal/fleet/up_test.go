package fleet

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
)

// The names in up.json are a promise: this is the file as a script knows it.
const promised = `{
  "origin": "http://127.0.0.1:1", "origin_tls": "https://127.0.0.1:8", "origin_admin": "http://127.0.0.1:2", "nats": "",
  "ca": "/var/origin/ca/cert.pem", "code_keys": "/var/code-keys.json",
  "edges": [{"name": "edge-1", "scan": "http://127.0.0.1:4", "scan_tls": "https://127.0.0.1:9", "admin": "http://127.0.0.1:5", "pid": 6}],
  "origin_pid": 7, "admin_token": "a", "push_token": "p", "scanner_key": "s", "scanner_keys": ["s"],
  "issuers": ["demo-a", "demo-b"], "subjects": 2,
  "sample": [{"issuer": "demo-a", "subject": "d000000001", "code": "demo-a:d000000001", "status": "green"}]
}`

func TestUpFileKeepsItsPromise(t *testing.T) {
	path := filepath.Join(t.TempDir(), UpFile)
	must(t, os.WriteFile(path, []byte(promised), 0o600))
	up, err := LoadUp(path)
	must(t, err)
	if up.OriginPID != 7 || up.Edges[0].PID != 6 || up.Sample[0].Status != "green" || up.Subjects != 2 {
		t.Errorf("read as %+v", up)
	}
	must(t, up.Save(path))
	var got, want map[string]any
	must(t, json.Unmarshal([]byte(readFile(t, path)), &got))
	must(t, json.Unmarshal([]byte(promised), &want))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("written as %v\nwant %v", got, want)
	}
}

func TestLoadUpSaysWhatToDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), UpFile)
	for _, content := range []string{"", "{", "[]"} {
		must(t, os.WriteFile(path, []byte(content), 0o600))
		if _, err := LoadUp(path); err == nil || !strings.Contains(err.Error(), "scanedge up --dir "+filepath.Dir(path)) {
			t.Errorf("with %q in it: %v", content, err)
		}
	}
	must(t, os.Remove(path))
	if _, err := LoadUp(path); err == nil || !strings.Contains(err.Error(), "start one with: scanedge up --dir "+filepath.Dir(path)) {
		t.Errorf("without a file: %v", err)
	}
}

// A reader in the midst of many writes sees one of them whole.
func TestSaveReplacesTheFileAsAWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, UpFile)
	must(t, (&Up{}).Save(path))
	var done atomic.Bool
	go func() {
		defer done.Store(true)
		for n := range 200 {
			up := &Up{Subjects: n, Issuers: make([]string, n)}
			if err := up.Save(path); err != nil {
				t.Error(err)
			}
		}
	}()
	for last := 0; !done.Load(); {
		up, err := LoadUp(path)
		if err != nil || len(up.Issuers) != up.Subjects || up.Subjects < last {
			t.Fatalf("after %d: %+v, %v", last, up, err)
		}
		last = up.Subjects
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("left behind: %v, %v", files, err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if err := (&Up{}).Save(filepath.Join(dir, "none", UpFile)); err == nil || !strings.Contains(err.Error(), "writing ") {
		t.Errorf("saving where no folder is: %v", err)
	}
	must(t, os.Mkdir(filepath.Join(dir, "taken"), 0o700))
	if err := (&Up{}).Save(filepath.Join(dir, "taken")); err == nil {
		t.Error("saving over a folder went well")
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*tmp*")); len(files) != 0 {
		t.Errorf("left behind: %q", files)
	}
}
