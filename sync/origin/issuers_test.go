package origin

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/issuer"
)

// An issuer is made as the order says and changes what an order names, at once and for the next start; nothing secret is shown.
func TestAnIssuersPolicy(t *testing.T) {
	dir := t.TempDir()
	o := open(t, dir, "demo-a")
	var got IssuerDetail
	order(t, o, 201, "PUT", "/v1/issuers/gz", `{"max_stale_s":90,"plain":false,"snapshot_every_s":60,"code_window_steps":3,"max_change":{"bad":0.5}}`, &got)
	want := issuer.Policy{MaxStaleSeconds: 90, SnapshotEverySeconds: 60, CodeWindowSteps: 3, MaxChange: issuer.MaxChange{Bad: 0.5, All: 0.2, Floor: 1000}}
	w := o.writer("gz")
	if got.Issuer != "gz" || got.Policy != want || !got.PublicKey.Equal(w.secret.Public().Key) || got.SeedID != w.secret.Seed.ID().String() ||
		len(got.CodeKeys) != 1 || got.Given != (issuer.Given{}) {
		t.Errorf("%+v", got)
	}
	order(t, o, 200, "PUT", "/v1/issuers/gz", `{"plain":true,"max_change":{"floor":7},"new_code_key":true}`, &got)
	want.Plain, want.MaxChange.Floor = true, 7
	if got.Policy != want || len(got.CodeKeys) != 2 || w.secret.Policy() != want {
		t.Errorf("%+v", got)
	}
	rec := order(t, o, 200, "PUT", "/v1/issuers/gz", "", &got)
	shown := order(t, o, 200, "GET", "/v1/issuers/gz", "", nil)
	if got.Policy != want || shown.Body.String() != rec.Body.String() {
		t.Errorf("an order of nothing: %s; shown is %s", rec.Body, shown.Body)
	}
	order(t, o, 200, "PUT", "/v1/issuers/gz", `{"drop_old_code_key":true}`, &got)
	if got.Policy != want || !slices.Equal(got.CodeKeys, []int{2}) {
		t.Errorf("without the old code key: %+v", got)
	}
	shown = order(t, o, 200, "GET", "/v1/issuers/gz", "", nil)
	seed, _ := w.secret.Seed.MarshalText()
	key, _ := json.Marshal(w.secret.Key.Seed())
	codeKey, _ := json.Marshal(w.secret.CodeKeys()[0].Key)
	for _, secret := range []string{string(seed), string(key), string(codeKey), fmt.Sprintf("%x", w.secret.Key.Seed())} {
		if strings.Contains(shown.Body.String(), secret) {
			t.Error("a secret is shown")
		}
	}
	refused(t, call(o.API(), "GET", "/v1/issuers/sz", o.tokens.Admin, ""), scanedge.UnknownIssuer)
	refused(t, call(o.API(), "PUT", "/v1/issuers/gz", o.tokens.Admin, `{"max_change":{"all":2}}`), scanedge.BadRequest, "shares")
	refused(t, call(o.API(), "PUT", "/v1/issuers/gz", o.tokens.Admin, `{"snapshot_every_s":-1}`), scanedge.BadRequest, "snapshot_every_s")
	refused(t, call(o.API(), "PUT", "/v1/issuers/gz", o.tokens.Admin, `{"code_window_steps":21}`), scanedge.BadRequest, "code_window_steps")
	o.Close()
	o = open(t, dir, "demo-a", "gz")
	if p := o.writer("gz").secret.Policy(); p != want {
		t.Errorf("after a start: %+v", p)
	}
}

// Secrets that lie elsewhere: only their paths are kept, they can't change, and without them the issuer waits and the others are served.
func TestAnIssuerWithMountedSecrets(t *testing.T) {
	dir, mounted := t.TempDir(), t.TempDir()
	o := open(t, dir, "demo-a")
	seed, key := filepath.Join(mounted, "seed"), filepath.Join(mounted, "key.pem")
	body := fmt.Sprintf(`{"seed_file":%q,"signing_key_file":%q}`, seed, key)
	refused(t, call(o.API(), "PUT", "/v1/issuers/gz", o.tokens.Admin, body), scanedge.BadRequest, "read the seed from "+seed)
	if _, err := os.Stat(filepath.Join(dir, "issuers", "gz.json")); err == nil {
		t.Error("it was begun all the same")
	}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string][]byte{
		seed: []byte("00112233445566778899aabbccddeeff\n"), key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	} {
		if err := os.WriteFile(file, text, 0o400); err != nil {
			t.Fatal(err)
		}
	}
	var got IssuerDetail
	order(t, o, 201, "PUT", "/v1/issuers/gz", body, &got)
	if got.SeedFile != seed || got.KeyFile != key || !got.PublicKey.Equal(private.Public()) {
		t.Errorf("%+v", got)
	}
	order(t, o, 200, "PUT", "/v1/issuers/gz", body, nil)
	refused(t, call(o.API(), "PUT", "/v1/issuers/gz", o.tokens.Admin, fmt.Sprintf(`{"seed_file":%q}`, key)), scanedge.BadRequest, "can't change")
	refused(t, call(o.API(), "PUT", "/v1/issuers/demo-a", o.tokens.Admin, body), scanedge.BadRequest, "can't change")
	refused(t, call(o.API(), "PUT", "/v1/issuers/sz", o.tokens.Admin, `{"seed_file":"seed"}`), scanedge.BadRequest, "not absolute")
	pushOK(t, o, "gz", "subject,status\nx,red\n")
	o.Close()
	logged := logOf(t, dir, "gz")
	if strings.Contains(logged, "can read") {
		t.Errorf("a warning of files of mode 0400: %s", logged)
	}
	for _, file := range []string{seed, key} {
		if err := os.Chmod(file, 0o444); err != nil {
			t.Fatal(err)
		}
		if logged := logOf(t, dir, "gz"); !strings.Contains(logged, "can read") || !strings.Contains(logged, "path="+file) {
			t.Errorf("no warning of %s, which everybody may read: %s", file, logged)
		}
	}
	move(t, seed, seed+"-away")
	defer func(d time.Duration) { secretsEvery = d }(secretsEvery)
	secretsEvery = 20 * time.Millisecond
	o = open(t, dir, "demo-a", "gz")
	pushOK(t, o, "demo-a", "subject,status\nx,red\n")
	waitsFor(t, o, "read the seed from "+seed)
	if err := os.WriteFile(seed, []byte("ff112233445566778899aabbccddeeff\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	waitsFor(t, o, "the seed in "+seed+" is not the one that the issuer was made with")
	move(t, seed+"-away", seed)
	until(t, "the issuer is served", func() bool { return o.writer("gz") != nil })
	if o.word("gz", "x") != "red" {
		t.Error("its subject is not there")
	}
	pushOK(t, o, "gz", "subject,status\nx,green\n")
	if s := o.status(time.Now()); len(s.Why) > 0 || len(s.Issuers) != 2 {
		t.Errorf("%+v", s)
	}
}

// logOf is what an origin logs until it is open.
func logOf(t *testing.T, dir string, issuers ...string) string {
	t.Helper()
	var logged strings.Builder
	o, err := Open(t.Context(), Config{
		Dir: dir, Issuers: issuers, Logger: slog.New(slog.NewTextHandler(&logged, nil)), Metrics: metrics.NewSet(),
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Close()
	return logged.String()
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// until waits for what is to come about by itself.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it did not come about that %s", what)
		}
	}
}

// waitsFor holds every route of issuer gz, and all that tells operators, to say why it waits.
func waitsFor(t *testing.T, o *Origin, why string) {
	t.Helper()
	until(t, "it waits: "+why, func() bool { err := o.waits("gz"); return err != nil && strings.Contains(err.Error(), why) })
	for _, path := range []string{"", "/held", "/held/x", "/offsets/1", "/records", "/subjects/x", "/subjects/x/secret"} {
		refused(t, call(o.API(), "GET", "/v1/issuers/gz"+path, o.tokens.Admin, ""), scanedge.SecretMissing, why, "mount or mend")
	}
	refused(t, post(o, "gz", strings.NewReader("subject,status\nx,red\n")), scanedge.SecretMissing, why)
	refused(t, call(o.API(), "PUT", "/v1/issuers/gz", o.tokens.Admin, ""), scanedge.SecretMissing, why)
	refused(t, call(o.API(), "POST", "/v1/issuers/gz/rollback", o.tokens.Admin, `{"to":1}`), scanedge.SecretMissing, why)
	refused(t, call(o.API(), "POST", "/v1/issuers/gz/subjects/x/codes", o.tokens.Admin, `{"until":"2100-01-01T00:00:00Z"}`), scanedge.SecretMissing, why)
	edge := asEdge(t, o)
	for _, path := range []string{"/snapshot", "/snapshots/x", "/log?after=0"} {
		refused(t, call(edge, "GET", "/v1/issuers/gz"+path, "", ""), scanedge.SecretMissing, why)
	}
	req := httptest.NewRequest("GET", "/v1/backup", nil)
	req.RemoteAddr = "127.0.0.1:1"
	req.Header.Set("Authorization", "Bearer "+o.tokens.Admin)
	rec := httptest.NewRecorder()
	o.API().ServeHTTP(rec, req)
	refused(t, rec, scanedge.SecretMissing, "would lack", why)
	if s := o.status(time.Now()); s.State != scanedge.Degraded || !strings.Contains(s.Why[0], "issuer gz") || !strings.Contains(s.Why[0], why) {
		t.Errorf("%+v", s)
	}
	var shown strings.Builder
	if o.cfg.Metrics.WritePrometheus(&shown); !strings.Contains(shown.String(), "scanedge_issuers_waiting 1\n") {
		t.Error("the metrics do not say that one waits")
	}
}

// An issuer whose making failed at any step is made by the next try.
func TestAnIssuerIsMadeByTheNextTry(t *testing.T) {
	dir := t.TempDir()
	o := open(t, dir, "demo-a")
	for _, c := range []struct{ step, id string }{{"snapshots", "a"}, {"restored", "b"}, {"held", "c"}, {"snapshots/d/begun", "d"}} {
		in := filepath.Join(dir, c.step)
		switch c.step {
		case "snapshots", "held":
			in = filepath.Join(in, c.id) // a file where a folder is to be
		case "restored":
			in = markPath(dir, c.id) // not JSON
		}
		err := os.MkdirAll(filepath.Dir(in), 0o700)
		if err == nil {
			err = os.WriteFile(in, nil, 0o600) // begun: a log that was written to, and is not there
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if rec := call(o.API(), "PUT", "/v1/issuers/"+c.id, o.tokens.Admin, ""); rec.Code != 503 || o.writer(c.id) != nil {
				t.Errorf("%s: %d %s", c.step, rec.Code, rec.Body)
			}
		}
		if err := os.Remove(in); err != nil {
			t.Fatal(err)
		}
		order(t, o, 201, "PUT", "/v1/issuers/"+c.id, "", nil)
		pushOK(t, o, c.id, "subject,status\nx,red\n")
	}
}

// An issuer's own period for snapshots goes before the origin's.
func TestSnapshotsOfAnIssuersOwnPeriod(t *testing.T) {
	o := open(t, t.TempDir(), "demo-a")
	pushN(t, o, 1)
	s := o.writers["demo-a"].snapshots
	s.began = s.began.Add(-61e9)
	for _, c := range []struct {
		seconds int
		due     bool
	}{{0, false}, {60, true}, {120, false}} {
		order(t, o, 200, "PUT", "/v1/issuers/demo-a", fmt.Sprintf(`{"snapshot_every_s":%d}`, c.seconds), nil)
		if due, err := s.due(t.Context()); err != nil || due != c.due {
			t.Errorf("every %d s: due %v, %v", c.seconds, due, err)
		}
	}
}
