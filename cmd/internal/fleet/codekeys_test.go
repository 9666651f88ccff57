package fleet

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The file of code keys has what the issuers' files have, follows them, and is gone when the fleet is.
func TestCodeKeysAreKeptTrue(t *testing.T) {
	every := codeKeysEvery
	t.Cleanup(func() { codeKeysEvery = every }) // after the fleet's own end
	codeKeysEvery = 2 * time.Millisecond
	dir := t.TempDir()
	issuers := filepath.Join(dir, "origin", "issuers")
	must(t, os.MkdirAll(issuers, 0o700))
	settle := func(id, keys string) {
		t.Helper()
		must(t, os.WriteFile(filepath.Join(dir, "next"), []byte(`{"version":2,"issuer":"`+id+`","private_key":"c2VjcmV0","code_keys":`+keys+`}`), 0o600))
		must(t, os.Rename(filepath.Join(dir, "next"), filepath.Join(issuers, id+".json")))
	}
	settle("demo-a", `[{"id":1,"key":"MQ=="}]`)
	f, notices := start(t, Config{Dir: dir, Edges: 1, Subjects: 2})
	up, err := LoadUp(f.Path())
	if err != nil || !filepath.IsAbs(up.CodeKeys) || filepath.Dir(up.CodeKeys) != dir {
		t.Fatalf("up.json: %+v, %v", up, err)
	}
	if st, err := os.Stat(up.CodeKeys); err != nil || st.Mode() != 0o600 {
		t.Errorf("its mode is %v (%v)", st.Mode(), err)
	}
	says := func(want string) bool {
		var got, wanted any
		b, err := os.ReadFile(up.CodeKeys)
		must(t, err)
		must(t, json.Unmarshal(b, &got))
		must(t, json.Unmarshal([]byte(want), &wanted))
		return reflect.DeepEqual(got, wanted)
	}
	become := func(what string, is func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: it does not come about\n%s", what, notices)
			}
		}
	}
	if !says(`{"version":1,"issuers":{"demo-a":[{"id":1,"key":"MQ=="}]}}`) {
		t.Error("at first it says something else")
	}
	settle("gz", `[{"id":7,"key":"Nw=="}]`)
	settle("demo-a", `[{"id":2,"key":"Mg=="},{"id":1,"key":"MQ=="}]`)
	become("a new key, a new issuer", func() bool {
		return says(`{"version":1,"issuers":{"demo-a":[{"id":2,"key":"Mg=="},{"id":1,"key":"MQ=="}],"gz":[{"id":7,"key":"Nw=="}]}}`)
	})
	settle("gz", `nonsense`)
	become("a file that is none", func() bool { return strings.Contains(notices.String(), "may be out of date: reading the code keys in") })
	settle("gz", `[]`)
	become("it is mended", func() bool {
		return says(`{"version":1,"issuers":{"demo-a":[{"id":2,"key":"Mg=="},{"id":1,"key":"MQ=="}],"gz":[]}}`)
	})
	f.Stop()
	if _, err := os.Stat(up.CodeKeys); !os.IsNotExist(err) {
		t.Errorf("it is there after the stop: %v", err)
	}
	must(t, os.WriteFile(up.CodeKeys, []byte("of a fleet that was killed"), 0o600))
	settle("gz", `nonsense`)
	if _, err := tryStart(t, Config{Dir: dir, Edges: 1}); err == nil || !strings.Contains(err.Error(), "reading the code keys in "+issuers) {
		t.Errorf("a start with a file that is none: %v", err)
	}
	if _, err := os.Stat(up.CodeKeys); !os.IsNotExist(err) {
		t.Errorf("that of a killed fleet is there still: %v", err)
	}
}
