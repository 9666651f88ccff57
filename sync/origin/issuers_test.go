package origin

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/issuer"
)

// An issuer is made as the order says and changes what an order names, at once and for the next start; nothing secret is shown.
func TestAnIssuersPolicy(t *testing.T) {
	dir := t.TempDir()
	o := open(t, dir, "demo-a")
	var got IssuerDetail
	order(t, o, 201, "PUT", "/v1/issuers/gz", `{"max_stale_s":90,"plain":false,"snapshot_every_s":60,"max_change":{"bad":0.5}}`, &got)
	want := issuer.Policy{MaxStaleSeconds: 90, SnapshotEverySeconds: 60, MaxChange: issuer.MaxChange{Bad: 0.5, All: 0.2, Floor: 1000}}
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
	seed, _ := w.secret.Seed.MarshalText()
	key, _ := json.Marshal(w.secret.Key.Seed())
	for _, secret := range []string{string(seed), string(key), fmt.Sprintf("%x", w.secret.Key.Seed())} {
		if strings.Contains(shown.Body.String(), secret) {
			t.Error("a secret is shown")
		}
	}
	refused(t, call(o.API(), "GET", "/v1/issuers/sz", o.tokens.Admin, ""), scanedge.UnknownIssuer)
	refused(t, call(o.API(), "PUT", "/v1/issuers/gz", o.tokens.Admin, `{"max_change":{"all":2}}`), scanedge.BadRequest, "shares")
	refused(t, call(o.API(), "PUT", "/v1/issuers/gz", o.tokens.Admin, `{"snapshot_every_s":-1}`), scanedge.BadRequest, "snapshot_every_s")
	o.Close()
	o = open(t, dir, "demo-a", "gz")
	if p := o.writer("gz").secret.Policy(); p != want {
		t.Errorf("after a start: %+v", p)
	}
}

// Secrets that lie elsewhere: only their paths are kept, they can't change, and without them there is no start.
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
	if err := os.Rename(seed, seed+"-away"); err != nil {
		t.Fatal(err)
	}
	cfg := o.cfg
	cfg.Issuers, cfg.Metrics = []string{"gz"}, metrics.NewSet()
	if o, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), seed) || !strings.Contains(err.Error(), "mount or mend") {
		if err == nil {
			o.Close()
		}
		t.Errorf("without the seed: %v", err)
	}
	if err := os.Rename(seed+"-away", seed); err != nil {
		t.Fatal(err)
	}
	if o = open(t, dir, "gz"); o.word("gz", "x") != "red" {
		t.Error("its subject is not there")
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
