package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cmd/internal/fleet"
	"github.com/scanedge/scanedge/sync/enrol"
)

// forms are the forms in which bytes might be written somewhere.
func forms(secret []byte) map[string][]byte {
	return map[string][]byte{
		"raw": secret, "hex": []byte(hex.EncodeToString(secret)), "HEX": []byte(strings.ToUpper(hex.EncodeToString(secret))),
		"base64": []byte(base64.RawStdEncoding.EncodeToString(secret)), "base64url": []byte(base64.RawURLEncoding.EncodeToString(secret)),
		"array": []byte(strings.Trim(strings.ReplaceAll(fmt.Sprint(secret), " ", ","), "[]")), "bytes": []byte(strings.Trim(fmt.Sprint(secret), "[]")),
	}
}

// secretsOf reads an issuer's file: seed, signing key and code keys.
func secretsOf(t *testing.T, file string) map[string][]byte {
	t.Helper()
	var s struct {
		Seed     string
		Key      []byte `json:"private_key"`
		CodeKeys []struct {
			ID  int
			Key []byte
		} `json:"code_keys"`
	}
	if !readJSON(file, &s) {
		t.Fatal("no secrets in ", file)
	}
	seed, err := hex.DecodeString(s.Seed)
	if err != nil || len(seed) != 16 || len(s.Key) != 32 || len(s.CodeKeys) == 0 {
		t.Fatalf("%s is not what it was: %v", file, err)
	}
	all := map[string][]byte{"seed": seed, "signing key": s.Key}
	for _, k := range s.CodeKeys {
		all[fmt.Sprint("code key ", k.ID)] = k.Key
	}
	return all
}

// codesOf are what a fleet's processes handle of one subject and must not write down: its secret, rolling and signed codes, which its
// edges are shown too, and its id. The secret is looked for in every form.
func codesOf(t *testing.T, up fleet.Up, issuer, subject string) map[string]string {
	t.Helper()
	p := enrolPhone(t, up, issuer, subject)
	var paper scanedge.SignedCode
	orderOf(t, up, http.MethodPost, "/v1/issuers/"+issuer+"/subjects/"+subject+"/codes", `{"until":"2100-01-01T00:00:00Z"}`, &paper)
	said := map[string]string{"the subject": subject, "a rolling code": p.code(), "a signed code": paper.Code, "a plain code": issuer + ":" + subject}
	for form, b := range forms(p.secret[:]) {
		said["the subject's secret as "+form] = string(b)
	}
	for _, e := range up.Edges {
		for what, code := range map[string]string{"rolling": said["a rolling code"], "signed": paper.Code, "plain": said["a plain code"], "forged": paper.Code[:len(paper.Code)-6] + "AAAAAA"} {
			for range 2 { // the second is answered from what is remembered
				if got := wordOf(t, up, e, code); got != map[string]string{"forged": "forged-code"}[what] && got != "unknown-subject" {
					t.Errorf("%s: a %s code is %s", e.Name, what, got)
				}
			}
		}
	}
	return said
}

// No secret is where it does not belong: in nothing that any process writes, logs or answers but to who makes it, whatever is done
// with tokens, issuers and codes.
func TestSecretsStayWhereTheyBelong(t *testing.T) {
	f, dir := startFleet(t, 500)
	up := f.Up()
	plain := map[string]string{"admin": up.AdminToken, "push": up.PushToken, "scanner": up.ScannerKey}
	var enrolled scanedge.Enrolment
	orderOf(t, up, http.MethodPut, "/v1/edges/for-a-look", `{"issuers":["*"]}`, &enrolled)
	join, err := enrol.ParseToken(enrolled.Token)
	if err != nil {
		t.Fatal(err)
	}
	plain["join"], plain["join token's secret of the join"] = enrolled.Token, join.Secret
	for _, kind := range []string{"push", "scan", "admin"} {
		id, token := makeToken(t, up, fmt.Sprintf(`{"kind":%q,"name":"for a look"}`, kind))
		plain["made "+kind] = token
		var again struct{ Token string }
		orderOf(t, up, http.MethodPost, "/v1/tokens/"+id+"/rotate", "", &again)
		plain["rotated "+kind] = again.Token
		if kind == "push" {
			pushAsMany(t, up, token, again.Token)
			orderOf(t, up, http.MethodDelete, "/v1/tokens/"+id, "", nil)
			pushAsMany(t, up, token, "push-nonsense") // refused
		}
	}
	orderOf(t, up, http.MethodPut, "/v1/issuers/gz", `{"new_code_key":false}`, nil)
	for _, id := range []string{"demo-a", "demo-b", "gz"} {
		orderOf(t, up, http.MethodPut, "/v1/issuers/"+id, `{"snapshot_every_s":1,"new_code_key":true}`, nil)
	}
	for what, text := range codesOf(t, up, "demo-b", "a-subject-nobody-pushed") {
		plain[what] = text
	}
	scanAll(t, up, []string{"demo-a:d000000013", "demo-b:nonsense", "x"}, func(i int) string {
		return []string{"red", "unknown-subject", "malformed-code"}[i]
	})
	for _, id := range []string{"demo-a", "demo-b"} { // of what the origin writes, snapshots come last
		eventually(t, "a snapshot of "+id, func() bool {
			found, _ := filepath.Glob(filepath.Join(dir, "origin", "snapshots", id, "*.manifest"))
			return len(found) > 0
		})
	}
	said := map[string][]byte{}
	for _, path := range []string{"/metrics", "/debug/pprof/cmdline", "/v1/report"} {
		for name, base := range map[string]string{"origin": up.OriginAdmin, up.Edges[0].Name: up.Edges[0].Admin, up.Edges[1].Name: up.Edges[1].Admin} {
			said[name+path] = getAs(t, base+path, "")
		}
	}
	for _, path := range []string{"/v1/tokens", "/v1/issuers", "/v1/issuers/demo-a", "/v1/issuers/gz", "/v1/issuers/demo-a/records"} {
		said["origin"+path] = getAs(t, up.Origin+path, up.AdminToken)
	}
	f.Stop()
	searchFor(t, dir, said, plain)
}

func orderOf(t *testing.T, up fleet.Up, method, path, body string, into any) {
	t.Helper()
	var order any
	if body != "" {
		order = json.RawMessage(body)
	}
	if err := scanedge.NewOperator(up.Origin, up.AdminToken).Call(t.Context(), "give an order", method, path, order, into); err != nil {
		t.Fatal(err)
	}
}

// pushAsMany pushes with each of some tokens, whatever becomes of it.
func pushAsMany(t *testing.T, up fleet.Up, tokens ...string) {
	t.Helper()
	for _, token := range tokens {
		_, _ = scanedge.NewOrigin(up.Origin, token).Push(t.Context(), "demo-a", []scanedge.Delta{{Subject: "secrets", Status: scanedge.Red}})
	}
}

func getAs(t *testing.T, url, token string) []byte {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// searchFor looks for the issuers' secrets and for plain tokens in all that was said and all files of a fleet. The files that exist to
// hold one kind may hold that kind: there it must be found, or the search finds nothing anywhere.
func searchFor(t *testing.T, dir string, said map[string][]byte, plain map[string]string) {
	t.Helper()
	secrets, files, found := map[string][]byte{}, 0, map[string]bool{}
	for _, id := range []string{"demo-a", "demo-b", "gz"} {
		for what, secret := range secretsOf(t, filepath.Join(dir, "origin", "issuers", id+".json")) {
			for form, b := range forms(secret) {
				secrets[id+"'s "+what+" as "+form] = b
			}
		}
	}
	keys := map[string]string{"the CA's key": filepath.Join(dir, "origin", "ca", "key.pem")}
	for _, edge := range []string{"edge-1", "edge-2"} {
		keys[edge+"'s key"] = filepath.Join(dir, edge, "identity", "key.pem")
	}
	for what, path := range keys {
		plain[what] = strings.Split(readFile(t, path), "\n")[1] // base64, of the private part for the most
	}
	look := func(place string, b []byte, mayIssuer, mayToken bool) {
		for what, secret := range secrets {
			if bytes.Contains(b, secret) {
				if found[what] = true; !mayIssuer {
					t.Errorf("%s holds %s", place, what)
				}
			}
		}
		for what, token := range plain {
			if strings.Contains(string(b), token) {
				if found[what] = true; !mayToken && place != keys[what] {
					t.Errorf("%s holds what is only for others: %s", place, what)
				}
			}
		}
	}
	for place, b := range said {
		look(place, b, false, false)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files++
		look(path, b, strings.HasPrefix(path, filepath.Join(dir, "origin", "issuers")), path == filepath.Join(dir, "origin", "tokens.json"))
		return err
	})
	if err != nil || files < 20 {
		t.Errorf("%d files were read: %v", files, err)
	}
	for _, what := range []string{"demo-a's seed as hex", "gz's signing key as base64", "gz's code key 2 as base64", "admin", "the CA's key", "edge-1's key"} {
		if !found[what] {
			t.Errorf("%s is not even found where it belongs", what)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}
