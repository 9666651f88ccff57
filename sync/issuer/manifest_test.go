package issuer

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/cache"
)

func testManifest() (Snapshot, *Secret) {
	s := Snapshot{
		Issuer: "demo-a", Epoch: 3, Began: cache.Position{Offset: 9, Hash: Hash{1, 2, 3}}, Time: time.UnixMilli(1_790_000_000_123).UTC(),
		Parts: Parts{To: 12, Parts: []Part{{128, Hash{4}}, {1 << 30, Hash{5}}}},
	}
	return s, &Secret{ID: "demo-a", Key: testKey}
}

func TestManifestComesBack(t *testing.T) {
	want, secret := testManifest()
	manifest, id := SignManifest(want, secret)
	got, again, err := OpenManifest(manifest, secret.Public())
	if err != nil || !reflect.DeepEqual(got, want) || again != id || got.Size() != 128+1<<30 {
		t.Fatalf("%+v, %q for %q, %v", got, again, id, err)
	}
	golden, err := os.ReadFile(filepath.Join("testdata", "manifest-v2.hex"))
	if err != nil {
		t.Fatal(err)
	}
	if have := hex.EncodeToString(manifest); have != string(bytes.TrimSpace(golden)) {
		t.Errorf("the form of a manifest has changed; give it a new version\n got %s\nwant %s", have, golden)
	}
}

func TestManifestRefusals(t *testing.T) {
	s, secret := testManifest()
	manifest, _ := SignManifest(s, secret)
	for i := range len(manifest) * 8 {
		b := bytes.Clone(manifest)
		b[i/8] ^= 1 << (i % 8)
		if _, _, err := OpenManifest(b, secret.Public()); err == nil {
			t.Errorf("bit %d of byte %d may flip", i%8, i/8)
		}
	}
	for n := range manifest {
		if _, _, err := OpenManifest(manifest[:n], secret.Public()); err == nil {
			t.Errorf("the first %d bytes pass", n)
		}
	}
	other := Secret{ID: "demo-b", Key: testKey}
	batch, _ := seal(testHead(), "a body of over twelve bytes")
	for name, c := range map[string]struct {
		manifest []byte
		pub      Public
		want     string
	}{
		"another issuer's": {manifest, other.Public(), "no manifest of demo-b"},
		"another key's":    {manifest, Public{ID: "demo-a", Key: ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)}, "not the issuer's"},
		"a batch":          {batch, secret.Public(), "no manifest"},
	} {
		if _, _, err := OpenManifest(c.manifest, c.pub); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzOpenManifest(f *testing.F) {
	s, secret := testManifest()
	manifest, _ := SignManifest(s, secret)
	f.Add(manifest[headSize+6 : len(manifest)-ed25519.SignatureSize])
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := parseParts(body)
		if err != nil {
			return
		}
		again, _ := SignManifest(Snapshot{Issuer: "demo-a", Parts: p}, secret)
		if got, _, err := OpenManifest(again, secret.Public()); err != nil || !reflect.DeepEqual(got.Parts, p) {
			t.Errorf("%+v became %+v, %v", p, got.Parts, err)
		}
	})
}
