package e2e

import (
	"encoding/hex"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cmd/internal/fleet"
	"github.com/scanedge/scanedge/edge/passcode"
)

// phone is a holder's: what it was given once, and no more.
type phone struct {
	scanedge.SubjectSecret
	secret passcode.Secret
}

func enrolPhone(t *testing.T, up fleet.Up, issuer, subject string) (p phone) {
	t.Helper()
	orderOf(t, up, http.MethodGet, "/v1/issuers/"+issuer+"/subjects/"+subject+"/secret", "", &p.SubjectSecret)
	raw, err := hex.DecodeString(p.Secret)
	if err != nil || len(raw) != len(p.secret) {
		t.Fatalf("no secret: %v", err)
	}
	p.secret = passcode.Secret(raw)
	return p
}

// code is what the phone shows now.
func (p phone) code() string {
	return p.secret.Mint(p.Issuer, byte(p.KeyID), []byte(p.Subject), passcode.Step(time.Now().Unix()))
}

// wordOf is what an edge says of a code.
func wordOf(t *testing.T, up fleet.Up, e fleet.Edge, code string) string {
	t.Helper()
	a, err := scanedge.NewEdge(e.Scan, up.ScannerKey).ScanMany(t.Context(), []string{code})
	if err != nil {
		t.Fatal(err)
	}
	return string(a[0].Status) + string(a[0].Error)
}

// Codes of a code key are good after one rotation, beside those of the new key, and forged after two, or when the key is dropped; signed
// ones are good all along. The fleet's file of keys follows.
func TestRotationOfCodeKeys(t *testing.T) {
	f, _ := startFleet(t, 100)
	up := f.Up()
	become := func(what string, p phone, want string) {
		t.Helper()
		for _, e := range up.Edges {
			eventually(t, what+" is "+want+" on "+e.Name, func() bool { return wordOf(t, up, e, p.code()) == want })
		}
	}
	settle := func(order string) { orderOf(t, up, http.MethodPut, "/v1/issuers/demo-a", order, nil) }
	var paper scanedge.SignedCode
	orderOf(t, up, http.MethodPost, "/v1/issuers/demo-a/subjects/d000000007/codes", `{"until":"2100-01-01T00:00:00Z"}`, &paper)
	first := enrolPhone(t, up, "demo-a", "d000000013")
	become("a code of the first key", first, "red")

	settle(`{"new_code_key":true}`)
	second := enrolPhone(t, up, "demo-a", "d000000013")
	become("a code of the second key", second, "red") // so every edge has heard of the rotation
	become("after one rotation a code of the first key", first, "red")

	settle(`{"new_code_key":true}`)
	become("after two rotations a code of the first key", first, "forged-code")
	become("a code of the second key", second, "red")

	settle(`{"drop_old_code_key":true}`)
	become("a code of a key that was dropped", second, "forged-code")
	become("a code of the third key", enrolPhone(t, up, "demo-a", "d000000013"), "red")
	for _, e := range up.Edges {
		if got := wordOf(t, up, e, paper.Code); got != "yellow" {
			t.Errorf("a signed code is %s", got)
		}
	}
	eventually(t, "the fleet's file has the third key", func() bool {
		keys := codeKeysOf(t, up)["demo-a"]
		return len(keys) == 1 && keys[0].ID == 3
	})
	if st, err := os.Stat(up.CodeKeys); err != nil || st.Mode() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	for id, keys := range codeKeysOf(t, up) {
		key := passcode.NewKey(id, keys[0].ID, keys[0].Key)
		code := key.Secret([]byte("d000000021")).Mint(id, keys[0].ID, []byte("d000000021"), passcode.Step(time.Now().Unix()))
		if got := wordOf(t, up, up.Edges[0], code); got != "void" {
			t.Errorf("a code made with the file's key of %s is %s", id, got)
		}
	}
}

type codeKey struct {
	ID  byte
	Key []byte
}

// codeKeysOf reads the file of code keys that a fleet names.
func codeKeysOf(t *testing.T, up fleet.Up) map[string][]codeKey {
	t.Helper()
	var file struct {
		Version int
		Issuers map[string][]codeKey
	}
	if !readJSON(up.CodeKeys, &file) || file.Version != 1 || len(file.Issuers) < len(up.Issuers) {
		t.Fatalf("%s: %+v", up.CodeKeys, file)
	}
	return file.Issuers
}
